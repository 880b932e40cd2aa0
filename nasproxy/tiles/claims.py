"""Who is at which tile, so that processes and machines that share a folder share out its tiles.

Claims only save work: a tile is there when its file is, whoever made it, and two that make the same
one write the same file.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nasproxy.tiles.layout import Place

LEASE = 120.0
"""Seconds after which a claim that nobody renews is void."""


@contextmanager
def claim(folder: Path, place: Place) -> Iterator[bool]:
    """Claims a tile for the length of the block; False where somebody living has it."""
    path = folder / "claims" / f"{place.row:05d}-{place.column:05d}"
    path.parent.mkdir(exist_ok=True)
    mine = _taken(path)
    if not mine and _void(path):
        with suppress(FileNotFoundError):
            path.unlink()
        mine = _taken(path)
    if not mine:
        yield False
        return
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(path, done), daemon=True)
    thread.start()
    try:
        yield True
    finally:
        done.set()
        thread.join()
        with suppress(FileNotFoundError):
            path.unlink()


def _taken(path: Path) -> bool:
    try:
        # Unlike a file, a link is there with its content or not at all.
        os.symlink(f"{os.getpid()} {socket.gethostname()}", path)
    except FileExistsError:
        return False
    return True


def _void(path: Path) -> bool:
    """Whether who claimed it is dead: by its process on this machine, else by the last renewal."""
    try:
        process, _, host = os.readlink(path).partition(" ")
        if process.isdecimal() and host == socket.gethostname():
            return not _alive(int(process))
        return _now(path.parent) - path.lstat().st_mtime > LEASE
    except FileNotFoundError:
        return True


def _now(folder: Path) -> float:
    """The time by the clock that stamps files here, which another machine may keep."""
    probe = folder / f".clock-{os.getpid()}-{threading.get_ident()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed one that nobody has waited for yet still has its number.
    status = Path(f"/proc/{process}/stat")
    with suppress(OSError):
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _renew(path: Path, done: threading.Event) -> None:
    while not done.wait(LEASE / 4):
        with suppress(OSError):
            os.utime(path, follow_symlinks=False)


def sweep(folder: Path) -> None:
    """Removes what killed writers left beside tiles, once it is too old to be anybody's."""
    now = time.time()
    for left in [*folder.glob("*/.*.part"), *folder.glob(".*.part")]:
        with suppress(FileNotFoundError):
            if now - left.stat().st_mtime > 30 * LEASE:
                left.unlink()
