"""What a proxy is: settings that, given data, become a function from an architecture to a score."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

from nasproxy import machine
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.space import SearchSpace


@dataclass(frozen=True)
class Score:
    """What a proxy says of one architecture.

    Attributes:
        value: the score; larger means predicted better.
        flops: floating-point operations that it took, as the proxy's source counts them.
        columns: further scores by name, each a column of its own beside the value.
        info: whatever else is worth keeping, as JSON.
    """

    value: float
    flops: float
    columns: dict[str, float] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)


class Card(NamedTuple):
    """Under which conditions a proxy scores, in a few words each, for ``nasproxy proxies``.

    Larger scores are better for all of them; what a proxy measures is its docstring's first line.

    Attributes:
        weights: how they are drawn by default; ``none`` where none are.
        images: what is read, by default.
        batch_norm: its mode by default.
        cost: of one network, F being a forward pass of one image.
        source: the paper.
    """

    weights: str
    images: str
    batch_norm: str
    cost: str
    source: str


class NoScore(ArithmeticError):
    """Why a proxy has nothing to say of an architecture; kept, as it stands, for its failure.

    Raised where a number would come out, at chance level or of rounding alone, that looks like any
    other score.
    """


Scorer: TypeAlias = Callable[[Any], Score]
"""From an architecture of the space it was prepared for to its score; raises NoScore for none."""


def plain(given: Any) -> Score:
    """What a scorer returned, as stores keep it; a number by itself is a score.

    NumPy's and JAX's scalars become Python's; columns may be NaN or infinite, which is to be
    undefined.

    Raises:
        NoScore: something is not what a :class:`Score` says; names it and what it was.
    """
    if not isinstance(given, Score):
        given = Score(given, flops=0.0)
    value = _number(given.value)
    if value is None:
        raise NoScore(f"the proxy returned {given.value!r}: a score is a number")
    if not math.isfinite(value):
        raise NoScore(f"the score is {value}: the proxy's number is not finite")
    flops = _number(given.flops)
    if flops is None or not 0 <= flops < math.inf:
        raise NoScore(f"flops={given.flops!r} of the score: it is a number of at least 0")
    if not isinstance(given.columns, Mapping) or not isinstance(given.info, Mapping):
        raise NoScore("columns and info of the score are dictionaries, and one of them is not")
    columns: dict[str, float] = {}
    for name, entry in given.columns.items():
        number = _number(entry)
        if number is None or not isinstance(name, str):
            raise NoScore(f"column {name!r} of the score is {entry!r}: columns are numbers by name")
        columns[name] = number
    try:
        info = json.loads(json.dumps(dict(given.info), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NoScore(f"info of the score is no JSON ({error}): give text and numbers") from error
    return Score(value, flops, columns, info)


def _number(given: Any) -> float | None:
    """A real number, NumPy's and JAX's scalars among them, as a float; None if it is none."""
    if getattr(given, "ndim", None) == 0 and hasattr(given, "item"):
        given = given.item()
    if not isinstance(given, Real) or isinstance(given, bool):
        return None
    try:
        return float(given)
    except OverflowError:  # A whole number beyond all floats.
        return math.inf


@runtime_checkable
class Proxy(Protocol):
    """A frozen dataclass whose fields are the proxy's settings.

    A package registers its own by an entry point of the group ``nasproxy.proxies``; one in a file
    of the working folder goes by its dotted name. Proxies that run networks have a field ``width``,
    the stem's channels, None for the space's own, unless they measure the very network of the
    space. Those that measure time have a field ``machine``, None for the one at hand.

    A class may say in ``lower``, a tuple, which columns beside its score are better the lower they
    are, and in ``undirected`` which are no judgement, so that nobody ranks by them unawares. One
    whose scores do not depend on the seed says ``seeded = False``: they are computed once, and kept
    under every seed that is asked for.

    Attributes:
        name: what the proxy is called on the command line and in tables.
    """

    name: ClassVar[str]

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        """Does once what every architecture shares, and checks settings against the data.

        A proxy with a ``width`` scores the space's networks at it, by :func:`on_width`.

        Raises:
            SettingError, DataError: before anything is computed.
        """
        ...


def on_width(proxy: Any, space: SearchSpace) -> tuple[Any, SearchSpace]:
    """The proxy without its ``width``, and the space at that width: what a store's keys name."""
    width = getattr(proxy, "width", None)
    if width is None:
        return proxy, space
    if "width" not in {entry.name for entry in dataclasses.fields(space)}:  # type: ignore[arg-type]
        raise SettingError(
            f"width={width} of {proxy.name}: {space.name} has no stem to widen; leave it out, and "
            "widen the networks themselves"
        )
    return (
        dataclasses.replace(proxy, width=None),  # type: ignore[type-var]  # proxies are dataclasses
        dataclasses.replace(space, width=width),  # type: ignore[type-var]  # so are spaces
    )


def on_machine(proxy: Proxy) -> Proxy:
    """The proxy with the ``machine`` that it measures on, if it has such a field."""
    if getattr(proxy, "machine", "") is not None:
        return proxy
    return dataclasses.replace(proxy, machine=machine.name())  # type: ignore[type-var]  # as above
