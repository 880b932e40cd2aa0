"""TFRecord files without TensorFlow: a length, its checksum, the bytes, their checksum; repeat.

The framing is that of tensorflow/core/lib/io/record_writer.h, without compression.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from nasproxy.errors import TruthError

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEADER_SIZE = _LENGTH.size + _CHECKSUM.size
FRAME_SIZE = _HEADER_SIZE + _CHECKSUM.size
"""Bytes that a record takes in the file beyond its own."""


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the records of a TFRecord file in order, one in memory at a time, checksums verified.

    Raises:
        TruthError: on reaching it, a file that is absent, cut short or damaged, with the record's
            number (from 1) and byte offset.
    """
    path = Path(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise TruthError(
            f"{path} cannot be read ({error.strerror}); give a TFRecord file"
        ) from error
    with file:
        size = os.fstat(file.fileno()).st_size
        offset, number = 0, 0
        while offset < size:
            number += 1
            where = f"record {number} at byte {offset} of {path}"
            if size - offset < _HEADER_SIZE:
                raise TruthError(f"{where} is cut short: the file ends there; download it again")
            header = file.read(_HEADER_SIZE)
            length = header[: _LENGTH.size]
            if _masked_crc32c(length) != header[_LENGTH.size :]:
                cause = "or no TFRecord file at all; " if number == 1 else ""
                raise TruthError(f"{where} is damaged (length), {cause}download the file again")
            (n_bytes,) = _LENGTH.unpack(length)
            if size - offset < FRAME_SIZE + n_bytes:
                raise TruthError(
                    f"{where} is cut short: {n_bytes} bytes announced, and the file ends before "
                    "them; download it again"
                )
            record = file.read(n_bytes)
            if _masked_crc32c(record) != file.read(_CHECKSUM.size):
                raise TruthError(f"{where} is damaged (data); download the file again")
            yield record
            offset += FRAME_SIZE + n_bytes


def _masked_crc32c(data: bytes) -> bytes:
    """The rotated and shifted CRC-32C that TFRecord stores, little-endian."""
    crc = google_crc32c.value(data)
    return _CHECKSUM.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
