"""Flax modules of one's own as a search space: a family by its settings, or some as they are.

Here each architecture compiles programs of its own, seconds for a small network, where those of a
search space share theirs; compiled programs are kept on disk all the same.
"""

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any, ClassVar

import numpy as np
from flax import nnx

from nasproxy.checks import OneOf, Optional, Whole, checked
from nasproxy.errors import ArchitectureError, SettingError
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Shape
from nasproxy.networks.wrapped import graph_of
from nasproxy.settings import SILENT

_KEPT = 64
"""Graphs that a space holds, so that proxies that come one after the other share programs."""
_FORBIDDEN = set(",=/:#{}[]")
"""What would make a key another's, or a text that is no key."""

Choice = dict[str, Any]
"""An architecture: a value an axis."""


@dataclass(frozen=True)
class ModuleSpace:
    """Every combination of the settings of a function that makes Flax modules.

    ``ModuleSpace(make, {"depth": (1, 3, 6), "width": (8, 32)})`` calls ``make(depth=1, width=8)``,
    and hands over ``rngs``, ``image_shape`` and ``classes`` if it takes them. An ``nnx.Module``
    draws its weights from ``rngs`` (``nnx.Rngs``); a Linen module is initialised by its own
    ``init``. Batch norm and dropout are told how to run by ``set_attributes`` as ``train()`` and
    ``eval()`` do, and by whichever of the arguments ``train``, ``training``, ``is_training``,
    ``deterministic`` and ``use_running_average`` the module's call has.

    Architectures are dictionaries of an axis' value each. The proxies ``params``, ``flops`` (of
    convolutions and matrix products), ``nngp``, ``ntk``, ``latency`` and ``training`` score them,
    and of the zero-cost ones those that look into no layer (``l2_norm``, ``grad_norm``, ``snip``,
    ``plain``, ``zico``, ``jacov``, ``epe_nas``, ``ntk_condition``), to which kernels are arrays of
    two axes and more; those that look into layers find one, the module.

    Attributes:
        make: from the axes' values to a module.
        axes: values by the name of the argument: numbers, words, true and false.
        features: the module's method that returns penultimate features ``[n, …]``, for ``nngp``.
        called: what stores know the family by; without it, the dotted name of ``make``. Stored
            scores are found by it: give another when ``make`` builds other networks than before.

    Raises:
        SettingError: axes that ``make`` does not take, or without values; or a ``make`` that has no
            name of its own (a lambda) and was given none.
    """

    make: Callable[..., Any] = field(metadata={SILENT: True})
    axes: Mapping[str, Sequence[Any]] = field(metadata={SILENT: True}, hash=False)
    features: str | None = "features"
    called: str | None = None

    name: ClassVar[str] = "modules"
    samplers: ClassVar[tuple[str, ...]] = ("uniform",)

    def __post_init__(self) -> None:
        if not callable(self.make):
            raise SettingError(f"make={self.make!r} of modules: give a function that makes them")
        if not isinstance(self.axes, Mapping) or not self.axes:
            raise SettingError('axes of modules: give values by name, as {"depth": (1, 3, 6)}')
        known = _arguments(self.make)
        free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
        axes = {}
        for axis, given in self.axes.items():
            if axis in _HANDED or not (free or axis in known):
                takes = ", ".join(k for k in known if k not in _HANDED)
                raise SettingError(f"axis {axis!r} of modules: {_label(self.make)} takes {takes}")
            axes[axis] = _values(axis, given)
        object.__setattr__(self, "axes", axes)
        name = _label(self.make) if self.called is None else self.called
        if "<" in name or _FORBIDDEN & set(name):
            raise SettingError(
                f"called={name!r} of modules: give a name for the family, without commas, colons, "
                "brackets and equal signs"
            )
        object.__setattr__(self, "called", name)
        object.__setattr__(self, "_graphs", {})

    @property
    def width(self) -> int:
        """0: there is no stem that proxies could widen."""
        return 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The axes, by which tables name architectures."""
        return tuple(self.axes)

    @property
    def positions(self) -> tuple[str, ...]:
        """The axes."""
        return tuple(self.axes)

    @property
    def choices(self) -> tuple[tuple[Any, ...], ...]:
        """The values of each axis."""
        return tuple(tuple(values) for values in self.axes.values())

    def assemble(self, values: Sequence[Any]) -> Choice:
        """The architecture of one value an axis."""
        return self._checked(dict(zip(self.axes, values, strict=True)))

    def values(self, architecture: Choice) -> tuple[Any, ...]:
        """One value an axis."""
        return tuple(self._checked(architecture).values())

    def grid(self, **axes: Sequence[Any]) -> list[Choice]:
        """Every combination of the values of each axis, or of those that are given, in order.

        Raises:
            SettingError: an axis that there is not.
            ArchitectureError: a value that its axis does not have.
        """
        for axis in axes:
            if axis not in self.axes:
                raise SettingError(
                    f"modules have no axis {axis!r}: they have {', '.join(self.axes)}"
                )
        values = [axes.get(axis, own) for axis, own in self.axes.items()]
        return [self._checked(dict(zip(self.axes, one, strict=True))) for one in product(*values)]

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[Choice]:
        """Draws ``n`` distinct architectures, all equally likely.

        Raises:
            SettingError: another sampler than ``uniform``; ``n`` negative or beyond the space.
        """
        checked(self.name, "sampler", sampler, Optional(OneOf(*self.samplers)))
        sizes = [len(values) for values in self.axes.values()]
        size = math.prod(sizes)
        n = checked(self.name, "n", n, Whole(0, size, hint="as many as there are"))
        chosen = np.random.default_rng(seed).choice(size, n, replace=False)
        places = np.transpose(np.unravel_index(chosen, sizes))
        return [
            {axis: values[i] for (axis, values), i in zip(self.axes.items(), place, strict=True)}
            for place in places
        ]

    def mutate(self, architecture: Choice, rng: np.random.Generator) -> Choice:
        """Another value on one axis.

        Raises:
            SettingError: no axis has another.
        """
        architecture = self._checked(architecture)
        open_axes = [axis for axis, values in self.axes.items() if len(values) > 1]
        if not open_axes:
            raise SettingError("no axis of modules has a second value: there is nothing to search")
        axis = open_axes[int(rng.integers(len(open_axes)))]
        others = [v for v in self.axes[axis] if _text(v) != _text(architecture[axis])]
        return architecture | {axis: others[int(rng.integers(len(others)))]}

    def key(self, architecture: Choice) -> str:
        """``depth=3,width=8``."""
        chosen = self._checked(architecture)
        return ",".join(f"{axis}={_text(value)}" for axis, value in chosen.items())

    def find(self, key: str) -> Choice:
        """The architecture of a key; axes may come in any order."""
        parts = [part.partition("=") for part in key.split(",")]
        given = {axis.strip(): text.strip() for axis, _, text in parts}
        if len(given) < len(parts) or given.keys() != self.axes.keys():
            raise self._unknown(key)
        chosen = {}
        for axis, values in self.axes.items():
            same = [value for value in values if _text(value) == given[axis]]
            if not same:
                raise self._unknown(key)
            chosen[axis] = same[0]
        return chosen

    def row_key(self, row: Mapping[Any, Any]) -> str:
        """The key of a table's row with a column an axis."""
        given = {axis: row[axis] for axis in self.axes}
        plain = {a: v.item() if isinstance(v, np.generic) else v for a, v in given.items()}
        return self.key(plain)

    def to_json(self, architecture: Choice) -> str:
        """``{"depth": 3, "width": 8}``."""
        return json.dumps(self._checked(architecture))

    def from_json(self, text: str) -> Choice:
        """An architecture from JSON."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError(f"{text[:80]!r} is not JSON: {error}") from error
        if not isinstance(given, dict):
            raise self._unknown(text)
        return self._checked(given)

    def graph(self, architecture: Choice, image_shape: Shape, classes: int) -> Graph:
        """The module as a graph, see :mod:`nasproxy.networks.wrapped`.

        Raises:
            ArchitectureError: the module cannot be made, or does not fit the data.
        """
        graphs: dict[Any, Graph] = self.__dict__["_graphs"]
        place = self.key(architecture), tuple(image_shape), classes
        if place not in graphs:
            made = partial(self._made, self._checked(architecture), image_shape, classes)
            if len(graphs) >= _KEPT:
                graphs.pop(next(iter(graphs)))
            graphs[place] = graph_of(made, image_shape, classes, self.features, place[0])
        return graphs[place]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_graphs": {}}  # Other processes make their own.

    def _made(self, chosen: Choice, image_shape: Shape, classes: int, rngs: nnx.Rngs) -> Any:
        handed = {"rngs": rngs, "image_shape": image_shape, "classes": classes}
        known = _arguments(self.make)
        return self.make(**chosen, **{k: v for k, v in handed.items() if k in known})

    def _checked(self, given: Any) -> Choice:
        """The architecture with its axes in order."""
        if not isinstance(given, Mapping) or given.keys() != self.axes.keys():
            raise self._unknown(given)
        return self.find(",".join(f"{axis}={_text(value)}" for axis, value in given.items()))

    def _unknown(self, given: Any) -> ArchitectureError:
        axes = "; ".join(f"{a}: {', '.join(map(_text, v))}" for a, v in self.axes.items())
        return ArchitectureError(f"{str(given)[:80]!r} is none of these modules: choose {axes}")


@dataclass(frozen=True)
class GivenModules:
    """Flax modules by name, scored as they are: no space to draw from.

    Attributes:
        modules: an ``nnx.Module`` is scored with the weights that it has, a Linen module with
            those of its ``init``.
        features: as for :class:`ModuleSpace`.
    """

    modules: Mapping[str, Any] = field(metadata={SILENT: True}, hash=False)
    features: str | None = "features"

    name: ClassVar[str] = "given_modules"
    samplers: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.modules, Mapping) or not self.modules:
            raise SettingError('modules: give some by name, as {"small": module}')
        for name in self.modules:
            if not isinstance(name, str) or name != name.strip() or name[:1] in ("", "{", "["):
                raise SettingError(f"{name!r} of modules: give a word for a name")
        object.__setattr__(self, "_graphs", {})

    @property
    def width(self) -> int:
        """0: there is no stem that proxies could widen."""
        return 0

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[str]:
        """Refused: modules are given."""
        raise SettingError("modules that are given cannot be drawn: make a ModuleSpace of them")

    def mutate(self, architecture: str, rng: np.random.Generator) -> str:
        """Refused, likewise."""
        raise SettingError("modules that are given cannot be searched: make a ModuleSpace of them")

    def key(self, architecture: str) -> str:
        """The name."""
        return self.find(architecture)

    def find(self, key: str) -> str:
        """The name again, if it is one."""
        if key not in self.modules:
            raise ArchitectureError(f"{key!r} is no module: there are {', '.join(self.modules)}")
        return key

    def to_json(self, architecture: str) -> str:
        """``{"module": name}``."""
        return json.dumps({"module": architecture})

    def from_json(self, text: str) -> str:
        """Refused: a name does."""
        raise ArchitectureError(f"{text[:80]!r} is no module's name")

    def graph(self, architecture: str, image_shape: Shape, classes: int) -> Graph:
        """The module as a graph, see :mod:`nasproxy.networks.wrapped`."""
        graphs: dict[Any, Graph] = self.__dict__["_graphs"]
        place = architecture, tuple(image_shape), classes
        if place not in graphs:
            module = self.modules[architecture]
            graphs[place] = graph_of(
                lambda rngs: module, image_shape, classes, self.features, architecture
            )
        return graphs[place]


_HANDED = ("rngs", "image_shape", "classes")


def _arguments(make: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    # The signature of an nnx.Module's class is its metaclass's: anything.
    if not isinstance(make, type):
        return inspect.signature(make).parameters
    _, *own = inspect.signature(vars(make).get("__init__", make.__init__)).parameters.items()
    return dict(own)


def _label(make: Callable[..., Any]) -> str:
    name = getattr(make, "__qualname__", None)
    return f"{make.__module__}.{name}" if name else "<unnamed>"


def _values(axis: str, given: Any) -> tuple[Any, ...]:
    values = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
    texts = [_text(value) for value in values if isinstance(value, bool | int | float | str)]
    bad = [text for text in texts if not text or _FORBIDDEN & set(text)]
    if not values or len(texts) < len(values) or bad or len(set(texts)) < len(texts):
        raise SettingError(
            f"{axis}={given!r} of modules: give different numbers, words or truth values, as (1, 3)"
        )
    return values


def _text(value: Any) -> str:
    """As it stands in a key; 1 and 1.0, and true and 1, are different."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
