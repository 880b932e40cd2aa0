"""What goes wrong with files of others, in a line, and what they may take of the memory."""

from contextlib import suppress
from pathlib import Path

import psutil

from nasproxy.errors import DataError

_LONGEST = 200  # characters of another package's message


def reason(error: BaseException) -> str:
    """An exception's message as one line of bounded length, or its kind where it has none."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def check_memory(what: str, needed: int) -> None:
    """Refuses what does not fit, before it is taken.

    Args:
        what: would take it, to begin a sentence.
        needed: bytes.

    Raises:
        DataError: it is more than the machine, or the container, has left.
    """
    left = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # "max" where there is no limit
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        left = min(left, int((group / "memory.max").read_text()) - used)
    if needed > left:
        raise DataError(
            f"{what} {needed / 2**30:,.1f} GiB of memory, and {max(0, left) / 2**30:,.1f} GiB are"
            " left: give fewer or smaller images"
        )
