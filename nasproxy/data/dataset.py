"""A data set, and the nested class-balanced subsets that scores are computed on."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int, Int32, Real

from nasproxy import markup
from nasproxy.data import picture
from nasproxy.data.lazy import LazyImages
from nasproxy.errors import DataError

Images: TypeAlias = Real[np.ndarray, "n h w c"] | LazyImages
"""uint8 or float32."""
Labels: TypeAlias = Int32[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Raw images [N, H, W, C] (uint8 or float32) with labels [N] in 0..classes-1.

    Images that are too many to hold are decoded when they are indexed, see ``LazyImages``. Make one
    with ``load`` or ``from_arrays``, which check the arrays; the constructor does not.

    Attributes:
        name: of the set, with what shaped it.
        classes: in it.
        train_images, train_labels, valid_images, valid_labels: the splits.
        mean, std: [C], float32, in the images' units: what ``standardise`` uses.
        test_images, test_labels: where there is such a split.
        valid_fraction: the part of a training split that ``load`` drew to validate on, None where
            it drew none.
    """

    name: str
    classes: int
    train_images: Real[np.ndarray, "train h w c"] | LazyImages
    train_labels: Int32[np.ndarray, " train"]
    valid_images: Real[np.ndarray, "valid h w c"] | LazyImages
    valid_labels: Int32[np.ndarray, " valid"]
    mean: Float32[np.ndarray, " c"]
    std: Float32[np.ndarray, " c"]
    test_images: Real[np.ndarray, "test h w c"] | LazyImages | None = None
    test_labels: Int32[np.ndarray, " test"] | None = None
    valid_fraction: float | None = None

    def __repr__(self) -> str:
        """One line: sizes of the splits, the images' shape, classes."""
        labels = (self.train_labels, self.valid_labels, self.test_labels)
        sizes = " + ".join(f"{len(split):,}" for split in labels if split is not None)
        shape = "×".join(map(str, self.image_shape))
        return f"Dataset {self.name}: {sizes} images {shape}, {self.classes} classes"

    def _repr_html_(self) -> str:
        """For notebooks: sizes, and the first training image of each of the first ten classes."""
        splits = {
            "training": self.train_labels,
            "validation": self.valid_labels,
            "test": self.test_labels,
        }
        sizes = [(n, f"{len(one):,}") for n, one in splits.items() if one is not None]
        shape = "×".join(map(str, self.image_shape))
        head = f"<b>{escape(self.name)}</b>: images {shape}, {self.classes} classes"
        _, first = np.unique(self.train_labels, return_index=True)
        shown = np.sort(first[: picture.MOST])
        strip = picture.strip(np.asarray(self.train_images[shown]), self.train_labels[shown])
        return f"<div>{head}{markup.table(('', ''), sizes)}{strip}</div>"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all but ``name`` and ``valid_fraction``: of the contents.

        Of images that are held these are the pixels; of lazy ones the bytes of the files that they
        are decoded from, and the resolution. Names, places and times of files do not count.
        """
        digest = hashlib.blake2b(str(self.classes).encode(), digest_size=8)
        arrays = (self.train_images, self.train_labels, self.valid_images, self.valid_labels)
        for array in (*arrays, self.test_images, self.test_labels, self.mean, self.std):
            if array is None:
                digest.update(b"absent")
            elif isinstance(array, LazyImages):
                digest.update(f"{array.name}{array.shape}".encode())
                digest.update(array.places.data)
            else:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def standardise(self, images: Images) -> Float32[np.ndarray, "n h w c"]:
        """(images - mean) / std per channel: [N, H, W, C] in, the same shape out, float32."""
        return (np.asarray(images).astype(np.float32) - self.mean) / self.std

    def balanced_order(self, split: str, seed: int) -> Int[np.ndarray, " m"]:
        """Indices into ``split``, drawn by ``seed``, of which every prefix is class-balanced.

        Each class is shuffled, then the classes are interleaved round by round: in any prefix the
        counts of two classes differ by one at most, and not at all in a multiple of ``classes``.
        The order ends where that cannot be kept, when the smallest class has run out.
        """
        _, labels = self._split(split)
        return balanced_order(labels, self.classes, seed)

    def subset(
        self, split: str, n: int, seed: int, balanced: bool = True
    ) -> tuple[Float32[np.ndarray, "n h w c"], Labels]:
        """The first ``n`` of an order drawn by ``seed``: standardised [n, H, W, C], labels [n].

        Subsets of one split and seed are nested: a smaller one is the head of a larger one.
        The order is ``balanced_order``, or a plain shuffle where ``balanced`` is False.

        Raises:
            DataError: the split, or its smallest class, does not hold enough images.
        """
        subset, labels = self.select(split, n, seed, balanced)
        return subset[:], labels

    def select(
        self, split: str, n: int, seed: int, balanced: bool = True
    ) -> tuple["Subset", Labels]:
        """``subset`` with images that are decoded and standardised when they are sliced."""
        images, labels = self._split(split)
        if n < 1:
            raise DataError(f"a subset needs at least 1 image, got n={n}")
        if n > len(labels):
            raise DataError(
                f"{self.name}: n={n} is more than the {len(labels)} images of its {split} split;"
                f" ask for at most {len(labels)}{self._other_split(split, n)}"
            )
        if balanced:
            order = self.balanced_order(split, seed)
            if n > len(order):
                raise self._imbalance(split, labels, n, len(order))
        else:
            order = np.random.default_rng(seed).permutation(len(labels))
        chosen = order[:n]
        return Subset(self, ((images, chosen),)), labels[chosen]

    def _split(self, split: str) -> tuple[Images, Labels]:
        splits = {
            "train": (self.train_images, self.train_labels),
            "valid": (self.valid_images, self.valid_labels),
        }
        if self.test_images is not None and self.test_labels is not None:
            splits["test"] = (self.test_images, self.test_labels)
        if split not in splits:
            raise DataError(f"{self.name} has no split {split!r}; it has {', '.join(splits)}")
        return splits[split]

    def _imbalance(self, split: str, labels: Labels, n: int, most: int) -> DataError:
        counts = np.bincount(labels, minlength=self.classes)
        scarce = int(counts.argmin())
        return DataError(
            f"{self.name}: class {scarce} has {counts[scarce]} images in its {split} split, too few"
            f" for a balanced subset of n={n} ({-(-n // self.classes)} a class);"
            f" ask for at most {most}, or for balanced=False{self._other_split(split, n)}"
        )

    def _other_split(self, split: str, n: int) -> str:
        """The other way out where the validation split was drawn: to draw another part."""
        counts = np.bincount(self.train_labels, minlength=self.classes)
        rarest = int((counts + np.bincount(self.valid_labels, minlength=self.classes)).min())
        wanted = -(-n // self.classes)
        if self.valid_fraction is None or split == "test" or wanted >= rarest:
            return ""
        percent = math.ceil(100 * wanted / rarest)
        more, percent = ("larger", percent) if split == "valid" else ("smaller", 100 - percent)
        if not 0 < percent < 100:
            return ""
        return (
            f", or load it with a {more} valid_fraction than {self.valid_fraction:g}:"
            f" --data NAME:valid_fraction={percent / 100:g}"
        )


@dataclass(frozen=True, eq=False)
class Subset:
    """Images of one data set, standardised (and decoded) when sliced: [n, H, W, C], float32.

    ``a + b`` is the images of ``a``, then those of ``b``.
    """

    data: Dataset
    parts: tuple[tuple[Real[np.ndarray, "_ h w c"] | LazyImages, Int[np.ndarray, " _"]], ...]

    def __len__(self) -> int:
        return sum(len(chosen) for _, chosen in self.parts)

    def __repr__(self) -> str:
        return f"Subset of {len(self):,} images of {self.data.name}"

    @property
    def nbytes(self) -> int:
        """Of all images, as they come out."""
        return 4 * len(self) * math.prod(self.data.image_shape)

    def __add__(self, other: "Subset") -> "Subset":
        return Subset(self.data, self.parts + other.parts)

    def __getitem__(self, chosen: slice) -> Float32[np.ndarray, "n h w c"]:
        start, stop, _ = chosen.indices(len(self))
        pieces = []
        for images, places in self.parts:
            if wanted := places[max(start, 0) : max(stop, 0)].tolist():
                pieces.append(self.data.standardise(images[np.array(wanted)]))
            start, stop = start - len(places), stop - len(places)
        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]


def balanced_order(labels: Labels, classes: int, seed: int) -> Int[np.ndarray, " m"]:
    """``Dataset.balanced_order`` of bare labels [N]."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    counts = np.bincount(labels, minlength=classes)
    by_class = np.argsort(labels[shuffled], kind="stable")
    rounds = np.empty(len(labels), dtype=np.intp)
    rounds[by_class] = np.concatenate([np.arange(count) for count in counts])
    rarest = counts.min()
    balanced = rarest * classes + np.count_nonzero(counts > rarest)
    return shuffled[np.argsort(rounds, kind="stable")[:balanced]]
