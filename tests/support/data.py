"""Data sets on disk: prepared as TensorFlow Datasets does it, and folders of pictures."""

import importlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import ROOT

TFDS = ROOT.parent / "shared" / "data" / "tfds"
"""Prepared sets beside the repository."""


def write_prepared(
    data_dir: Path,
    name: str,
    splits: dict[str, list[tuple[NDArray[np.uint8], int]]],
    file_format: str = "array_record",
) -> Path:
    """A prepared set as TFDS lays it out, for `tfds.builder(name, data_dir=data_dir)`."""
    module = pytest.importorskip("array_record.python.array_record_module")
    tf_example_pb2: Any = importlib.import_module("tensorflow_datasets.proto").tf_example_pb2
    folder = data_dir / name / "3.0.2"
    folder.mkdir(parents=True)
    kind = "tensorflow_datasets.core.features."
    shape = {"dimensions": ["-1", "-1", "3"]}
    features = {
        "image": {
            "pythonClassName": f"{kind}image_feature.Image",
            "image": {"dtype": "uint8", "shape": shape, "encodingFormat": "png"},
        },
        "label": {
            "pythonClassName": f"{kind}class_label_feature.ClassLabel",
            "classLabel": {"numClasses": "10"},
        },
    }
    described = {
        "pythonClassName": f"{kind}features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }
    (folder / "features.json").write_text(json.dumps(described))
    info = {
        "name": name,
        "version": "3.0.2",
        "fileFormat": file_format,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": k} for k in ("image", "label")]}},
        "splits": [
            {
                "name": split,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "shardLengths": [str(len(examples))],
                "numBytes": "1",
            }
            for split, examples in splits.items()
        ],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    for split, examples in splits.items():
        shard = folder / f"{name}-{split}.array_record-00000-of-00001"
        writer = module.ArrayRecordWriter(str(shard), "group_size:1")
        for array, label in examples:
            png = io.BytesIO()
            Image.fromarray(array).save(png, "png")
            example = tf_example_pb2.Example()
            example.features.feature["image"].bytes_list.value.append(png.getvalue())
            example.features.feature["label"].int64_list.value.append(label)
            writer.write(example.SerializeToString())
        writer.close()
    return folder


def pictures(count: int, seed: int = 0) -> list[tuple[NDArray[np.uint8], int]]:
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8), i % 10) for i in range(count)]


def random_image(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_pictures(
    folder: Path, classes: Sequence[str] = ("cat", "dog", "eel"), count: int = 6, **options: Any
) -> Path:
    """Pictures of several sizes, ``folder/CLASS/N.png``; the class is in the brightness."""
    rng = np.random.default_rng(options.get("seed", 0))
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            shape = (9 + i, 12 - i % 6) if options.get("grey") else (9 + i, 12 - i % 6, 3)
            pixels = rng.integers(0, 60, shape, dtype=np.uint8) + np.uint8(60 * (number % 4))
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder
