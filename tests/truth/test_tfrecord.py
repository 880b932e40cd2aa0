"""TFRecord framing against a bit-by-bit CRC-32C, and every kind of damage to a small file."""

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy.errors import TruthError
from nasproxy.truth.tfrecord import FRAME_SIZE, read_records
from tests.support.tfrecord import write_records


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), reflected, bit by bit: the definition, not the library."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """One record as TensorFlow writes it."""

    def masked(data: bytes) -> bytes:
        crc = crc32c(data)
        rotated = (crc >> 15) | ((crc << 17) & 0xFFFFFFFF)
        return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(record))
    return length + masked(length) + record + masked(record)


RECORDS = [b"first", b"", bytes(range(240, 256)), b"last"]
FILE = b"".join(frame(record) for record in RECORDS)
STARTS = [sum(len(frame(record)) for record in RECORDS[:i]) for i in range(len(RECORDS))]


def number_at(offset: int) -> int:
    """The number, from 1, of the record that holds this byte."""
    return sum(start <= offset for start in STARTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tfrecord"
    path.write_bytes(FILE)
    return path


def test_the_independent_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_read_records(path: Path) -> None:
    assert list(read_records(path)) == RECORDS
    assert list(read_records(str(path))) == RECORDS


def test_frame_size_is_what_framing_adds() -> None:
    assert len(frame(b"abc")) == FRAME_SIZE + 3


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert list(read_records(tmp_path / "empty")) == []


def test_write_records(tmp_path: Path) -> None:
    write_records(tmp_path / "out", iter(RECORDS))
    assert (tmp_path / "out").read_bytes() == FILE


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_what_is_written_is_framed_as_tensorflow_does(tmp_path_factory, records) -> None:
    path = tmp_path_factory.mktemp("records") / "out"
    write_records(path, records)
    assert path.read_bytes() == b"".join(frame(record) for record in records)
    assert list(read_records(path)) == records


@pytest.mark.parametrize("size", [size for size in range(1, len(FILE)) if size not in STARTS])
def test_truncated_anywhere(path: Path, size: int) -> None:
    path.write_bytes(FILE[:size])
    number = number_at(size - 1)
    records = read_records(path)
    assert [next(records) for _ in range(number - 1)] == RECORDS[: number - 1]
    with pytest.raises(TruthError) as raised:
        next(records)
    message = str(raised.value)
    assert message.startswith(
        f"record {number} at byte {STARTS[number - 1]} of {path} is cut short"
    )
    assert "download it again" in message


@pytest.mark.parametrize("offset", range(len(FILE)))
def test_any_flipped_byte_is_detected(path: Path, offset: int) -> None:
    damaged = bytearray(FILE)
    damaged[offset] ^= 0x40
    path.write_bytes(damaged)
    number = number_at(offset)
    records = read_records(path)
    assert [next(records) for _ in range(number - 1)] == RECORDS[: number - 1]
    part = "length" if offset - STARTS[number - 1] < 12 else "data"
    with pytest.raises(TruthError) as raised:
        next(records)
    message = str(raised.value)
    start = STARTS[number - 1]
    assert message.startswith(f"record {number} at byte {start} of {path} is damaged ({part})")
    assert "download the file again" in message


def test_another_kind_of_file_is_named_as_such(path: Path) -> None:
    path.write_bytes(b"<html>Not Found</html>")
    with pytest.raises(TruthError, match="no TFRecord file at all"):
        list(read_records(path))


def test_an_absurd_length_is_not_allocated(path: Path) -> None:
    length = struct.pack("<Q", 2**62)
    path.write_bytes(length + frame(length)[12 + 8 :] + b"rest")
    with pytest.raises(TruthError, match=f"record 1 at byte 0 .* cut short: {2**62} bytes"):
        list(read_records(path))


@pytest.mark.parametrize("name", ["absent.tfrecord", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(TruthError, match=r"cannot be read .* give a TFRecord file"):
        list(read_records(tmp_path / name))


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "large.tfrecord"
    write_records(path, (bytes(100_000) for _ in range(200)))
    tracemalloc.start()
    try:
        assert sum(len(record) for record in read_records(path)) == 20_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
