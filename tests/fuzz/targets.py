"""Entrances of the library, each with a source of awkward inputs.

A target is made in an empty folder; called with a generator, it draws an input and says what is to
be tried with it. An attempt that goes through has checked that what came out is right.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy import data, ranking
from nasproxy.data import from_arrays
from nasproxy.errors import DataError
from nasproxy.named import data_settings, proxy_of, space_of
from nasproxy.plugins import PROXIES, SPACES
from nasproxy.search import make_strategy
from nasproxy.solvers import ConjugateGradientClassifier, EigenProClassifier, KernelRidgeClassifier
from nasproxy.solvers.kernel import Precomputed
from nasproxy.store import Store
from nasproxy.truth import tables
from nasproxy.truth.nasbench101_file import import_nasbench101
from tests.support.damage import damaged
from tests.support.data import random_image, write_pictures
from tests.support.store import make
from tests.support.tfrecord import write_records


class Attempt(NamedTuple):
    """What is tried, in words and as a function."""

    said: str
    run: Callable[[], object]


Target = Callable[[np.random.Generator], Attempt]

TEXTS = (
    *("", " ", "0", "-1", "1e999", "nan", "inf", "none", "true", "abc", "1/2", "1/a", "a=b", "½"),
    *("9" * 30, "9" * 5000, "x" * 5000, "\x1b[31m", "\ud800", "\0", "~nobody", "../..", "[", "{"),
)
"""What settings and names may be made of."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**9, 10**30, 0.0, -0.5, 1.0, 1e300, math.nan, math.inf),
    *(-math.inf, 1j, "", "1", "abc", b"1", (), (1,), (1, 2), ("a",), [1, 2], {}, np.int64(4)),
    *(np.float32(0.5), np.bool_(True), np.array([1, 2]), np.array(3), object(), int, "\ud800"),
)
"""What settings may be given as in Python."""


def mutated(text: str, rng: np.random.Generator) -> str:
    """The text with a few characters replaced, doubled, left out or put in."""
    letters = list(text)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(letters) + 1))
        kind = rng.integers(4)
        new = str(rng.choice(list("0123456789abz:=,/.-+[]{}\"' \t\u00e9")))
        if kind == 0:
            letters[place:place] = [new]
        elif kind == 1:
            letters[place : place + 1] = []
        elif kind == 2:
            letters[place : place + 1] = [new]
        else:
            letters[place:place] = list(TEXTS[int(rng.integers(len(TEXTS)))])
    return "".join(letters)


def settings_as_text(folder: Path) -> Target:
    """Proxies, spaces, strategies and data as the command line names them."""
    proxies = [f"{name}:n_train=100,ensemble=2" for name in PROXIES] + list(PROXIES)
    spaces = [f"{name}:width=16" for name in SPACES] + list(SPACES)
    space, rng0 = space_of("nasbench101"), np.random.default_rng(0)

    def strategy(text: str) -> object:
        return make_strategy(text, space, rng0)

    kinds: list[tuple[Callable[[str], object], list[str]]] = [
        (proxy_of, [*proxies, "training:learning_rate=0.1", "infinite_width:solver=eigenpro"]),
        (space_of, spaces),
        (strategy, ["evolution:population=20,sample=3", "random"]),
        (data_settings, ["digits:labels=3,resolution=8", "a/b.npz:seed=1"]),
    ]

    def draw(rng: np.random.Generator) -> Attempt:
        read, texts = kinds[int(rng.integers(len(kinds)))]
        text = mutated(texts[int(rng.integers(len(texts)))], rng)
        return Attempt(repr(text), lambda: read(text))

    return draw


def settings_as_objects(folder: Path) -> Target:
    """Every setting of every proxy and space, as somebody may give it in Python."""
    kinds = [PROXIES[name] for name in PROXIES] + [SPACES[name] for name in SPACES]

    def draw(rng: np.random.Generator) -> Attempt:
        kind = kinds[int(rng.integers(len(kinds)))]
        fields = [field.name for field in dataclasses.fields(kind)]
        name = fields[int(rng.integers(len(fields)))] if fields else "nothing"
        value = VALUES[int(rng.integers(len(VALUES)))]
        if name == "machine" or not fields:  # Any text is a machine's.
            return Attempt(kind.__name__, kind)
        return Attempt(f"{kind.__name__}({name}={value!r})", lambda: kind(**{name: value}))

    return draw


def architectures(folder: Path) -> Target:
    """Keys and JSON of every space."""
    spaces = [space_of(name) for name in SPACES]
    drawn = {space.name: space.sample(5, 0) for space in spaces}

    def draw(rng: np.random.Generator) -> Attempt:
        space = spaces[int(rng.integers(len(spaces)))]
        one = drawn[space.name][int(rng.integers(5))]
        if rng.integers(2):
            text = mutated(space.to_json(one), rng)
            return Attempt(f"{space.name} {text!r}", lambda: space.key(space.from_json(text)))
        text = mutated(space.key(one), rng)

        def find() -> None:
            # A cell is found among all, which takes long the first time: only if it can be one.
            found = space.canonical(text) if hasattr(space, "canonical") else text
            if space.name != "nasbench101" or found is None:
                found = space.find(text)
                assert space.find(space.key(found)) == found

        return Attempt(f"{space.name} {text!r}", find)

    return draw


def truth_tables(folder: Path) -> Target:
    """Tables of truth, damaged as files and cell by cell."""
    path, column = folder / "t.csv", folder / "t.parquet"
    frame = pd.DataFrame({"key": [f"a{i}" for i in range(30)], "top1": np.arange(30) / 30})
    text = frame.to_csv(index=False)
    tables.write_table(frame, column)
    whole = column.read_bytes()
    expected = frame.set_index("key")["top1"]

    def draw(rng: np.random.Generator) -> Attempt:
        kind = rng.integers(3)
        if kind == 0:
            column.write_bytes(damaged(whole, rng))

            def read() -> None:
                found = tables.read(column, "top1")
                assert found.to_dict() == expected.to_dict(), "another value without a word"

            return Attempt("damaged parquet", read)
        if kind == 1:
            path.write_bytes(damaged(text.encode(), rng))
        else:
            path.write_bytes(mutated(text, rng).encode(errors="replace"))
        return Attempt(path.read_bytes()[:200].decode(errors="replace"), lambda: _table(path))

    return draw


def _table(path: Path) -> None:
    found = tables.read(path, "top1")
    assert np.isfinite(found).all()
    assert found.index.is_unique


def stores(folder: Path) -> Target:
    """A store with bits flipped and pieces cut out."""
    path = folder / "s.db"
    records = [make(f"{i:032x}", None if i % 9 == 8 else i / 7) for i in range(60)]
    with Store(path) as store:
        store.put_many(records)
    whole, expected = path.read_bytes(), {r.key: r for r in records}

    def draw(rng: np.random.Generator) -> Attempt:
        for file in folder.iterdir():
            file.unlink()
        path.write_bytes(damaged(whole, rng))

        def read() -> None:
            with Store(path) as store:
                assert {r.key: r for r in store.records()} == expected, "other scores"
                for key in list(expected)[::7]:
                    assert store.get(key) == expected[key], "another score"

        return Attempt("a damaged store", read)

    return draw


def npz_files(folder: Path) -> Target:
    """Arrays in an .npz, damaged."""
    path, images, labels = folder / "a.npz", random_image(24, 5, 4, 3), np.arange(24) % 3
    np.savez(path, x_train=images, y_train=labels, x_valid=images[::-1], y_valid=labels)
    whole = path.read_bytes()

    def draw(rng: np.random.Generator) -> Attempt:
        path.write_bytes(damaged(whole, rng))

        def read() -> None:
            found = data.load(str(path))
            assert (np.asarray(found.train_images) == images).all(), "other pixels"
            assert (found.train_labels == labels).all(), "other labels"

        return Attempt("a damaged .npz", read)

    return draw


def pictures(folder: Path) -> Target:
    """A picture of a folder, damaged."""
    pets = write_pictures(folder / "pets")
    picture = pets / "dog" / "3.png"
    whole = picture.read_bytes()
    expected = data.load(str(pets), resolution=6).fingerprint

    def draw(rng: np.random.Generator) -> Attempt:
        picture.write_bytes(damaged(whole, rng))

        def read() -> None:
            assert data.load(str(pets), resolution=6).fingerprint == expected, "other pixels"

        return Attempt("a damaged PNG", read)

    return draw


def official_files(folder: Path) -> Target:
    """The official file of NAS-Bench-101: records of the wrong kind, and damaged ones."""
    path = folder / "nasbench.tfrecord"
    fields: list[Any] = ["0" * 32, 108, "0100", "input,output", "AAAA"]

    def draw(rng: np.random.Generator) -> Attempt:
        record: Any = list(fields)
        place = int(rng.integers(len(record)))
        values = [*(v for v in VALUES if _is_json(v)), *TEXTS[:-1], "1" * 40_000, 10**25]
        record[place] = values[int(rng.integers(len(values)))]
        write_records(path, [json.dumps(record).encode(errors="replace")])
        if rng.integers(2):
            path.write_bytes(damaged(path.read_bytes(), rng))
        return Attempt(str(record)[:200], lambda: import_nasbench101(path))

    return draw


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _array(rng: np.random.Generator, n: int, tail: tuple[int, ...]) -> Any:
    """Images, points or labels of some shape, dtype and scale."""
    shape = [n, *tail]
    if rng.integers(3) == 0:
        shape[int(rng.integers(len(shape)))] = int(rng.integers(0, 4))
    if rng.integers(6) == 0:
        shape = shape[:-1] or [n]
    if rng.integers(6) == 0:
        shape = [*shape, 1]
    base = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4)
    dtypes = (
        "uint8",
        "int64",
        "float32",
        "float64",
        "float16",
        "bool",
        "complex64",
        "object",
        "U8",
    )
    array = base.astype(dtypes[int(rng.integers(len(dtypes)))])
    if array.dtype.kind == "f" and array.size and rng.integers(5) == 0:
        array.flat[0] = (np.nan, np.inf)[int(rng.integers(2))]
    return array.tolist() if rng.integers(8) == 0 else array


def arrays(folder: Path) -> Target:
    """Images and labels of one's own."""

    def draw(rng: np.random.Generator) -> Attempt:
        images = [_array(rng, 12, (5, 5, 3)) for _ in range(2)]
        labels: list[Any] = [np.arange(12) % 3, np.arange(12) % 3]
        if rng.integers(2):
            labels[int(rng.integers(2))] = _array(rng, 12, ())
        if rng.integers(2):
            images[1] = images[0]
        settings: dict[str, Any] = {}
        if rng.integers(3) == 0:
            name = ("classes", "mean", "std", "valid_fraction", "seed")[int(rng.integers(5))]
            settings[name] = VALUES[int(rng.integers(len(VALUES)))]

        def read() -> None:
            with np.errstate(all="ignore"):
                found = from_arrays(images[0], labels[0], images[1], labels[1], **settings)
            assert len(found.train_images) == len(found.train_labels)
            assert np.isfinite(found.standardise(found.train_images)).all()

        said = [f"{np.shape(a)} {getattr(a, 'dtype', 'list')}" for a in (*images, *labels)]
        return Attempt(f"{said} {settings}", read)

    return draw


def estimators(folder: Path) -> Target:
    """Kernel matrices and labels."""
    kinds = (KernelRidgeClassifier, EigenProClassifier, ConjugateGradientClassifier)

    def draw(rng: np.random.Generator) -> Attempt:
        points = rng.normal(size=(12, 5))
        matrix: Any = points @ points.T + np.eye(12)
        if rng.integers(2):
            matrix = _array(rng, 12, (12,))
        labels: Any = np.arange(12) % 3
        if rng.integers(2):
            labels = _array(rng, 12, ())
        kind = kinds[int(rng.integers(len(kinds)))]

        def fit() -> None:
            with np.errstate(all="ignore"):
                try:
                    model = kind(Precomputed(matrix)).fit(np.arange(12), labels)
                except (ValueError, TypeError) as error:  # Some are scikit-learn's own.
                    raise DataError(str(error)) from error
                assert np.isfinite(model.decision_function(np.arange(12))).all()

        shapes = f"{np.shape(matrix)} {getattr(matrix, 'dtype', 'list')}, {np.shape(labels)}"
        return Attempt(f"{kind.__name__} {shapes}", fit)

    return draw


def rankings(folder: Path) -> Target:
    """Scores and truths of any kind."""

    def draw(rng: np.random.Generator) -> Attempt:
        keys = [f"a{i}" for i in range(20)]

        def series() -> Any:
            values = _array(rng, 20, ())
            try:
                found = pd.Series(values, index=keys[: len(values)])
            except ValueError:
                return values
            if rng.integers(4) == 0:
                found = found.rename(index={"a1": "a0"})
            return found.to_dict() if rng.integers(5) == 0 else found

        scores, truth = series(), series()
        return Attempt(
            f"{type(scores).__name__} {getattr(scores, 'dtype', '')}, {type(truth).__name__}",
            lambda: ranking.rank(scores, truth, n_resamples=5),
        )

    return draw


TARGETS: dict[str, Callable[[Path], Target]] = {
    "settings as text": settings_as_text,
    "settings as objects": settings_as_objects,
    "architectures": architectures,
    "truth tables": truth_tables,
    "stores": stores,
    "npz files": npz_files,
    "pictures": pictures,
    "official files": official_files,
    "arrays": arrays,
    "estimators": estimators,
    "rankings": rankings,
}
