"""Memory is asked for before it is taken: what the machine has not is refused in a line."""

import psutil

from nasproxy.errors import SettingError


def check_memory(needed: float, what: str, cure: str) -> None:
    """Refuses what takes more bytes than are free.

    Args:
        needed: bytes, as far as they can be told beforehand.
        what: takes them.
        cure: what to do instead, to follow "give".

    Raises:
        SettingError: there are fewer.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise SettingError(
            f"{what} takes {needed / 2**30:.3g} GiB, and {free / 2**30:.3g} are free: give {cure}"
        )
