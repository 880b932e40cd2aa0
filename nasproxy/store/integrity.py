"""Is this file a whole store of ours? Asked read-only, before SQLite may write a byte of it.

Offsets are those of the SQLite file format, section 1.3 (https://sqlite.org/fileformat2.html).
"""

import sqlite3
import time
from pathlib import Path

from nasproxy.errors import StoreError
from nasproxy.store import schema
from nasproxy.store.schema import APPLICATION_ID, READABLE

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_RETRIES = 4  # a writer that opens or closes just now can make a sound file look damaged


_State = tuple[int, int, int, int]
_checked: dict[Path, _State] = {}
"""What files were like when this process last found or left them whole."""


def check_file(path: Path) -> None:
    """Raise StoreError unless ``path`` is absent, empty, or a whole store that can be read.

    Nothing is written, and no -wal or -shm file appears. Costs a read of the file where no other
    process has it open (SQLite's integrity_check: damage is found now, not after an hour), unless
    it is as this process left it. What a row holds is checked when it is read.
    """
    damage = ""
    try:
        if path.exists() and _checked.get(path) == _state(path):
            return
        if path.exists() and not path.is_file():
            raise StoreError(f"{path} is not a file: give the path of a file to keep scores in")
        if not path.parent.is_dir():
            raise StoreError(f"{path}: there is no folder {path.parent}: create it first")
        size = path.stat().st_size if path.exists() else 0
        if size == 0:
            _check_empty(path)
            return
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        _check_header(path, header)
        for attempt in range(_RETRIES + 1):
            time.sleep(0.05 * bool(attempt))
            if (damage := file_damage(path)) is None:
                note_whole(path)
                return
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}): check it, or its folder"
        ) from error
    raise StoreError(
        f"{path} is a damaged store ({' '.join(damage.split())}); it was left as it is:"
        " restore a copy, or move it away to start a new one"
    )


def note_whole(path: Path) -> None:
    """Remember that the file as it is now is whole: a call in a loop checks it once."""
    if not _filled(_beside(path, "-wal")) and path.exists():
        _checked[path] = _state(path)


def _state(path: Path) -> _State:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _check_empty(path: Path) -> None:
    """An empty file is a new store, unless scores wait beside it: SQLite would delete those."""
    wal = _beside(path, "-wal")
    if _filled(wal):
        raise StoreError(
            f"{path} is empty or gone, but its companion {wal.name} is not: the store was truncated"
            " or moved without it; bring the store back, or move the companion away"
        )


def _check_header(path: Path, header: bytes) -> None:
    """Whose file is it, and of which version?"""
    elsewhere = "it was left as it is: choose another path"
    if not header.startswith(_MAGIC):
        raise StoreError(f"{path} is not an SQLite file (starts {header[:16]!r}); {elsewhere}")
    if len(header) < _HEADER_BYTES:
        raise StoreError(f"{path} is an SQLite file truncated to {len(header)} bytes; {elsewhere}")
    if _filled(_beside(path, "-journal")):
        return  # killed while it was being created: SQLite rolls that back
    application = int.from_bytes(header[68:72])
    version = int.from_bytes(header[60:64])
    if application != APPLICATION_ID:
        raise StoreError(
            f"{path} is an SQLite database of something else"
            f" (application id {application:#x}, a nasproxy store has {APPLICATION_ID:#x});"
            f" {elsewhere}"
        )
    if version not in READABLE:
        raise StoreError(
            f"{path} is a nasproxy store of version {version}, this nasproxy reads versions "
            f"{' and '.join(map(str, READABLE))}; it was left as it is: use the nasproxy that wrote"
            " it, or choose another path"
        )


def file_damage(path: Path) -> str | None:
    """What is wrong with a file that holds all its contents, or None.

    With a journal or a filled -wal beside it part of the contents is there (a writer has it open,
    or was killed): SQLite puts the two together, and the file alone proves nothing.
    """
    if _filled(_beside(path, "-journal")) or _filled(_beside(path, "-wal")):
        return None
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    page = int.from_bytes(header[16:18])
    page = 65_536 if page == 1 else page  # the format's way to write 2^16 in two bytes
    pages = int.from_bytes(header[28:32])
    size = path.stat().st_size
    if size != page * pages:
        return f"{size} bytes, where its header promises {pages} pages of {page}"
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            schema.check(connection, int.from_bytes(header[60:64]))
            connection.execute("PRAGMA cell_size_check = ON")
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            connection.close()
    except (sqlite3.DatabaseError, StoreError) as error:
        return str(error)
    return None if verdict == "ok" else verdict


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
