"""Scores that experiments ask for: a proxy with all the sizes that one run of it holds."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import pandas as pd

from nasproxy.errors import SettingError

Kind = TypeVar("Kind")

MEASURES = {
    "accuracy": "validation accuracy",
    "loo_accuracy": "leave-one-out accuracy",
    "negative_mse": "−validation MSE",
}
"""What one solve gives, by the name of its column; the paper's is the accuracy."""


def spelled(kind: type[Kind], settings: Mapping[str, Any], **changes: Any) -> Kind:
    """A proxy that takes no default, so that a new one changes no suite.

    Args:
        kind: its class, a dataclass.
        settings: every field but ``width``, which is the space's if it is left out; a preset's.
        **changes: of these.

    Raises:
        SettingError: a field is left out, or is none of the proxy's.
    """
    given = {**settings, **changes}
    names = {entry.name for entry in dataclasses.fields(kind)}  # type: ignore[arg-type]
    left, strange = sorted(names - given.keys() - {"width"}), sorted(given.keys() - names)
    if left or strange:
        what = f"leaves out {', '.join(left)}" if left else f"has no setting {', '.join(strange)}"
        raise SettingError(
            f"{kind.__name__} of a suite {what}: name every setting, so that a new default changes "
            "none of its scores"
        )
    return kind(**given)


@dataclass(frozen=True, order=True)
class Setting:
    """Sizes of one kernel regression."""

    n_train: int
    n_valid: int
    ensemble: int

    def __str__(self) -> str:
        return f"({self.n_train}, {self.n_valid}, {self.ensemble})"

    @property
    def label(self) -> str:
        """As proxies name their columns."""
        return f"n_train={self.n_train},n_valid={self.n_valid},ensemble={self.ensemble}"


@dataclass(frozen=True)
class Request:
    """Scores of the first ``cells`` cells of the draw by one proxy."""

    proxy: Any
    cells: int
    seed: int = 0
    sampler: str | None = None

    @property
    def settings(self) -> list[Setting]:
        """All sizes that one score holds, the largest last."""
        sizes = (self.proxy.n_train, self.proxy.n_valid, self.proxy.ensemble)
        return [Setting(*s) for s in product(*(v if isinstance(v, tuple) else (v,) for v in sizes))]


@dataclass
class Scores:
    """The scores of one request, as tables indexed by module hash.

    Attributes:
        request: what was asked for.
        frame: as :func:`nasproxy.score` returns it.
        costs: floating-point operations a network by setting, means over cells, at the width that
            was run, as the paper counts them (equation 4).
    """

    request: Request
    frame: pd.DataFrame
    costs: dict[Setting, float]

    @property
    def settings(self) -> list[Setting]:
        return self.request.settings

    @property
    def largest(self) -> Setting:
        return self.settings[-1]

    def column(self, setting: Setting | None = None, measure: str = "accuracy") -> pd.Series:
        """One measure of one setting, the largest by default."""
        name = self.request.proxy.name
        parts = [] if setting in (None, self.largest) else [setting.label]  # type: ignore[union-attr]
        parts += [] if measure == "accuracy" else [measure]
        return self.frame[f"{name}[{','.join(parts)}]" if parts else name].dropna()

    @property
    def seconds(self) -> float:
        """Median seconds a cell, of all settings together."""
        return float(self.frame[f"{self.request.proxy.name} seconds"].median())
