"""Decoded images kept in the cache folder: PNGs of CIFAR-10 take 6 to 11 s, these arrays 0.1 s."""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Real
from numpy.typing import NDArray

from nasproxy import files
from nasproxy.cache import cache_dir, make_folder
from nasproxy.data.dataset import Labels
from nasproxy.errors import DataError

Held: TypeAlias = Real[np.ndarray, "held h w c"]
"""All images of a split."""


def cached_path(name: str, place: Path, sources: Sequence[Path]) -> Path:
    """Where what is decoded of some files in ``place`` belongs.

    Named by this machine's paths and by the files' sizes and times: what is written anew is decoded
    anew, even with the old time of modification. What scores are kept under is :func:`contents`.

    Raises:
        DataError: one of them is no regular file: a pipe would never end.
        OSError: one is not there.
    """
    state = []
    for source in sources:
        if source.exists() and not source.is_file():
            raise DataError(f"{source} is no regular file, but a pipe or a device: remove it")
        stat = source.stat()
        name_within = str(source.relative_to(place))
        state.append((name_within, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    digest = hashlib.blake2b(repr((str(place.resolve()), state)).encode(), digest_size=8)
    return cache_dir() / "decoded" / f"{name}-{digest.hexdigest()}.npz"


def contents(sources: Sequence[Path]) -> str:
    """16 hex digits of the files' bytes in their order, whatever their names, places and times."""
    whole = hashlib.blake2b(digest_size=8)
    for source in sources:
        with source.open("rb") as file:
            whole.update(hashlib.file_digest(file, hashlib.blake2b).digest())
    return whole.hexdigest()


def read_cached(path: Path) -> tuple[Held, Labels] | None:
    """The images and labels kept at ``path``, or None where there are none or they are damaged."""
    kept = _read(path, "images", "labels")
    return None if kept is None else (kept["images"], kept["labels"])


def write_cached(path: Path, images: Held, labels: Labels) -> None:
    """Keep them at ``path``, all or nothing; a disk that is full or read-only costs only time."""
    _write(path, images=images, labels=labels)


def read_described(path: Path) -> tuple[Labels, str] | None:
    """The labels, and what :func:`contents` says, of images that are too many to hold."""
    kept = _read(path, "labels", "contents")
    return None if kept is None else (kept["labels"], str(kept["contents"]))


def write_described(path: Path, labels: Labels, digest: str) -> None:
    """Keep them at ``path``, as :func:`write_cached` does."""
    _write(path, labels=labels, contents=np.array(digest))


def _read(path: Path, *names: str) -> dict[str, NDArray[Any]] | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # checks the CRCs
            return {name: file[name] for name in names}
    except Exception:  # a cache file that cannot be read, for whatever reason, is made again
        return None


def _write(path: Path, **arrays: NDArray[Any]) -> None:
    with contextlib.suppress(OSError):
        make_folder(path.parent)
        with files.replacing(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # names of arrays, no option of savez
