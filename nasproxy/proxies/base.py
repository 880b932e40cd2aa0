"""What a proxy is: settings that, given data, become a function from an architecture to a score."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from nasproxy import machine
from nasproxy.data import Dataset
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


Scorer: TypeAlias = Callable[[Any], Score]
"""From an architecture of the space it was prepared for to its score."""


@runtime_checkable
class Proxy(Protocol):
    """A frozen dataclass whose fields are the proxy's settings.

    A package registers its own by an entry point of the group ``nasproxy.proxies``; one in a file
    of the working folder goes by its dotted name. Proxies that run networks have a field ``width``,
    the stem's channels, None for the space's own, unless they measure the very network of the
    space. Those that measure time have a field ``machine``, None for the one at hand.

    A class may say in ``lower``, a tuple, which columns beside its score are better the lower they
    are, and in ``undirected`` which are no judgement, so that nobody ranks by them unawares.

    Attributes:
        name: what the proxy is called on the command line and in tables.
    """

    name: ClassVar[str]

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        """Does once what every architecture shares, and checks settings against the data.

        Raises:
            SettingError, DataError: before anything is computed.
        """
        ...


def on_width(proxy: Proxy, space: SearchSpace) -> tuple[Proxy, SearchSpace]:
    """The proxy without its ``width``, and the space at that width: what a store's keys name."""
    width = getattr(proxy, "width", None)
    if width is None:
        return proxy, space
    return (
        dataclasses.replace(proxy, width=None),  # type: ignore[type-var]  # proxies are dataclasses
        dataclasses.replace(space, width=width),  # type: ignore[type-var]  # so are spaces
    )


def on_machine(proxy: Proxy) -> Proxy:
    """The proxy with the ``machine`` that it measures on, if it has such a field."""
    if getattr(proxy, "machine", "") is not None:
        return proxy
    return dataclasses.replace(proxy, machine=machine.name())  # type: ignore[type-var]  # as above
