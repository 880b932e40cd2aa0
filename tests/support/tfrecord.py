"""TFRecord files as TensorFlow writes them; the library only reads them."""

import struct
from collections.abc import Iterable
from pathlib import Path

import google_crc32c


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """A length, its masked checksum, the bytes, theirs; repeat."""
    with path.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.writelines([length, _masked(length), record, _masked(record)])


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
