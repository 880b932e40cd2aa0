"""Image classification sets as TensorFlow Datasets prepares them, read without TensorFlow.

TFDS writes array_record files that ``as_data_source`` reads in plain Python. Only preparing a set
needs TensorFlow (and a network), once; every failure is a DataError that says how.
"""

import contextlib
import difflib
import importlib.util
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasproxy.data.dataset import Images, Labels
from nasproxy.data.decoded import cached_path
from nasproxy.data.splits import Picture, Split
from nasproxy.errors import DataError

_CHUNK = 10_000  # encoded records held at once while reading labels
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Prepared:
    """The splits of a prepared set, in TFDS order, under TFDS's names; images may be lazy."""

    name: str
    classes: int
    splits: dict[str, tuple[Images, Labels]]


def read_folder(folder: Path, resolution: int | None) -> Prepared:
    """Read the prepared set in ``folder``, the one that holds dataset_info.json."""
    import tensorflow_datasets as tfds

    if not (folder / "dataset_info.json").is_file():
        inside = sorted(folder.glob("*/dataset_info.json")) or sorted(
            folder.glob("*/*/dataset_info.json")
        )
        hint = f"; did you mean {inside[0].parent}?" if inside else ": check the path"
        raise DataError(f"{folder} is no prepared TFDS folder, it has no dataset_info.json{hint}")
    with _as_data_error(folder):
        return _read(tfds.builder_from_directory(folder), folder, resolution)


def read_name(
    name: str, data_dir: str | os.PathLike[str] | None, resolution: int | None
) -> Prepared:
    """Read the TFDS set ``name`` from ``data_dir``, preparing it first where that is possible."""
    import tensorflow_datasets as tfds

    with _as_data_error(name):
        try:
            with _quiet():
                builder = tfds.builder(name, data_dir=data_dir)
                prepared = builder.is_prepared()
        except tfds.core.DatasetNotFoundError:
            known = ["digits", *tfds.list_builders(with_community_datasets=False)]
            close = difflib.get_close_matches(name, known, n=3)
            where = f" or in {data_dir}" if data_dir else ""
            raise DataError(
                f"there is no data set {name!r} in TensorFlow Datasets{where}"
                + (f"; did you mean {' or '.join(close)}?" if close else "")
                + "; `nasproxy datasets` lists what can be given"
            ) from None
        if not prepared:
            _prepare(name, data_dir)
            builder = tfds.builder(name, data_dir=data_dir)
        return _read(builder, Path(builder.data_path), resolution)


def _prepare(name: str, data_dir: str | os.PathLike[str] | None) -> None:
    """Download and prepare, or say within seconds why not: TFDS itself retries for minutes."""
    import tensorflow_datasets as tfds

    with _quiet():
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    folder = Path(builder.data_path)
    option = f" --data_dir={data_dir}" if data_dir else ""
    advice = (
        f"{name} is not prepared: looked in {folder}. Prepare it on a machine with a network and"
        f" TensorFlow (`tfds build {name} --file_format=array_record{option}`), or point --data-dir"
        f" at the folder that holds {Path(*folder.parts[-2:])}"
    )
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError(f"{advice}. (TensorFlow is not installed here; only preparing needs it.)")
    for url in list(builder.url_infos or ())[:1]:
        if (reason := _unreachable(url)) is not None:
            raise DataError(f"{advice}. (Here {url} cannot be reached: {reason}.)")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            builder.download_and_prepare()
    except Exception as error:  # whatever a data set's own script raises
        raise DataError(f"{advice}. (Preparing it here failed: {error})") from error


def _unreachable(url: str) -> str | None:
    """Why the server of ``url`` does not answer, or None; proxies of the environment are used."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=_CONNECT_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()  # an answer, if not a friendly one: leave it to TFDS
    except OSError as error:
        return str(getattr(error, "reason", error))
    return None


def _read(builder: Any, folder: Path, resolution: int | None) -> Prepared:
    """The train, validation and test splits of a tfds.core.DatasetBuilder, those there are."""
    import tensorflow_datasets as tfds

    info = builder.info
    if info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        raise DataError(
            f"{folder} is prepared as {info.file_format.value if info.file_format else 'nothing'};"
            " only array_record is read without TensorFlow: prepare it with"
            f" `tfds build {info.name} --file_format=array_record`"
        )
    image, label = map(str, info.supervised_keys or ("image", "label"))
    features = dict(info.features.items())
    if not isinstance(features.get(image), tfds.features.Image) or not isinstance(
        features.get(label), tfds.features.ClassLabel
    ):
        raise DataError(
            f"{folder} is not an image classification set: its features are {', '.join(features)};"
            " one image and one class label are needed"
        )
    if "train" not in info.splits:
        raise DataError(f"{folder} has no train split; it has {', '.join(info.splits) or 'none'}")
    splits = {
        split: _split(builder, split, image, label, folder).load(resolution)
        for split in ("train", "validation", "test")
        if split in info.splits
    }
    return Prepared(info.name, features[label].num_classes, splits)


def _split(builder: Any, split: str, image: str, label: str, folder: Path) -> Split:
    import tensorflow_datasets as tfds

    source = builder.as_data_source(split)
    encoded = builder.as_data_source(split, decoders={image: tfds.decode.SkipDecoding()})

    def read(places: Sequence[int]) -> list[Picture]:
        return [example[image] for example in source.__getitems__(list(places))]

    def read_labels() -> Labels:
        labels = np.empty(len(source), np.int32)
        for start in range(0, len(labels), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(labels)))
            labels[start : chunk.stop] = [e[label] for e in encoded.__getitems__(list(chunk))]
        return labels

    with _quiet():
        read([0])  # warns of OpenCV once
    return Split(str(folder), split, len(source), read, read_labels, cached_path(folder, split))


@contextlib.contextmanager
def _as_data_error(place: str | Path) -> Iterator[None]:
    """TFDS and array_record raise a dozen kinds of errors for files that they cannot read."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        raise DataError(
            f"{place} cannot be read as a prepared TFDS data set ({error});"
            " its files may be incomplete: prepare or copy it again"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back TFDS's advice to install OpenCV and its warnings on folders that are absent."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
