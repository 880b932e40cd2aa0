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
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from nasproxy.data.dataset import Images, Labels
from nasproxy.data.decoded import cached_path, contents
from nasproxy.data.splits import Picture, Split
from nasproxy.data.trouble import reason
from nasproxy.errors import DataError

_CHUNK = 10_000  # encoded records held at once while reading labels
_DECODED = 64  # images decoded at once
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
        raise DataError(_unfit(folder))
    with _as_data_error(folder):
        return _read(tfds.builder_from_directory(folder), folder, resolution)


def _unfit(place: Path) -> str:
    """Why a path that is no set of any form is none."""
    inside = sorted(place.glob("*/dataset_info.json")) or sorted(
        place.glob("*/*/dataset_info.json")
    )
    said = f"{place} is no prepared TFDS folder, it has no dataset_info.json"
    if inside:
        return f"{said}; did you mean {inside[0].parent}?"
    if place.is_dir():
        return f"{said}, and no folder of pictures as CLASS/NAME.jpg or train/CLASS/NAME.jpg either"
    return (
        f"{said}: check the path, or give a file as .npz"
        if place.exists()
        else (f"{said}: check the path")
    )


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
            if Path(name).exists():
                raise DataError(_unfit(Path(name))) from None
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
        if (answer := _unreachable(url)) is not None:
            raise DataError(f"{advice}. (Here {url} cannot be reached: {answer}.)")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            builder.download_and_prepare()
    except Exception as error:  # whatever a data set's own script raises
        raise DataError(f"{advice}. (Preparing it here failed: {reason(error)})") from error


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
    classes = features[label].num_classes
    for split, (_, labels) in splits.items():
        hidden = split == "test" and (labels == -1).all()
        if not hidden and (labels.min() < 0 or labels.max() >= (classes or 0)):
            raise DataError(
                f"{folder} says it has {classes} classes, but labels of its {split} split run from"
                f" {labels.min()} to {labels.max()}: prepare it again"
            )
    if classes > len(splits["train"][1]):
        raise DataError(
            f"{folder} says it has {classes} classes, but it has {len(splits['train'][1])} training"
            " images: prepare it with images of all"
        )
    return Prepared(info.name, classes, splits)


@dataclass
class _Source:
    """The examples of a split; where it is sent, another process opens the files itself."""

    folder: Path
    split: str
    image: str
    label: str

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("folder", "split", "image", "label")}

    @cached_property
    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        return tfds.builder_from_directory(self.folder)

    @cached_property
    def _examples(self) -> Any:
        return self._builder.as_data_source(self.split)

    def __len__(self) -> int:
        return len(self._examples)

    def read(self, places: Sequence[int]) -> Iterator[Picture]:
        for start in range(0, len(places), _DECODED):
            with _as_data_error(self.folder):
                examples = self._examples.__getitems__(list(places[start : start + _DECODED]))
            yield from (example[self.image] for example in examples)

    def read_labels(self) -> Labels:
        import tensorflow_datasets as tfds

        skipped = {self.image: tfds.decode.SkipDecoding()}
        encoded = self._builder.as_data_source(self.split, decoders=skipped)
        labels = np.empty(len(self), np.int32)
        for start in range(0, len(labels), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(labels)))
            labels[start : chunk.stop] = [
                example[self.label] for example in encoded.__getitems__(list(chunk))
            ]
        return labels


def _split(builder: Any, split: str, image: str, label: str, folder: Path) -> Split:
    shards = [Path(os.fspath(path)) for path in builder.info.splits[split].filepaths]
    described = [file for file in sorted(folder.iterdir()) if file.suffix == ".json"]
    cache = cached_path(f"{folder.parent.name}-{split}", folder, [*described, *shards])
    source = _Source(folder, split, image, label)
    with _quiet():
        next(source.read([0]))  # warns of OpenCV once
    digest = partial(contents, shards)
    return Split(str(folder), split, len(source), source.read, source.read_labels, digest, cache)


@contextlib.contextmanager
def _as_data_error(place: str | Path) -> Iterator[None]:
    """TFDS and array_record raise a dozen kinds of errors for files that they cannot read."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{place} cannot be read as a prepared TFDS data set ({reason(error)});"
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
