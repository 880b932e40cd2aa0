"""Files and folders that are replaced whole or not at all, whenever the writer is killed."""

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

StrPath = str | os.PathLike[str]
_UMASK = threading.Lock()


@contextmanager
def replacing(path: StrPath) -> Iterator[BinaryIO]:
    """A new binary file that takes the path's place when the block ends.

    It is on the disk before the old one goes, and has the permissions that ``open`` would give it:
    those of the file that it replaces, else what the umask allows. A link stays, and the file that
    it points to is replaced. If the block raises, all is as it was.

    Raises:
        OSError: the folder is not there or cannot be written, or the disk is full.
    """
    path = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions(path))  # mkstemp's are 0600
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # a read-only disk must not hide what went wrong
            os.unlink(temporary)
        raise
    _sync(path.parent)


def check_place(path: StrPath) -> None:
    """Raises OSError where :func:`replacing` could not write: to be asked before a long work."""
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    os.unlink(temporary)


def write_text(path: StrPath, text: str) -> None:
    """A text in UTF-8, by :func:`replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing_folder(path: StrPath) -> Iterator[Path]:
    """A new, empty folder that takes the path's place, with all that it holds, as the block ends.

    If the block raises, all is as it was; folders above the path are made. No system call swaps two
    folders everywhere: a writer that is killed between the two renames leaves the old one beside
    the path, whole, as ``.NAME.…/old``.

    Raises:
        OSError: the folder above cannot be written, or the disk is full.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    new, old = beside / "new", beside / "old"
    try:
        new.mkdir()
        yield new
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        if path.exists() or not old.exists():
            shutil.rmtree(beside, ignore_errors=True)
    _sync(path.parent)


def _permissions(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_mode & 0o7777
    with _UMASK:  # It can only be read by setting it.
        umask = os.umask(0o077)
        os.umask(umask)
    return 0o666 & ~umask


def _sync(folder: Path) -> None:
    """So that a power cut does not undo the replacement, where the system can be told."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
