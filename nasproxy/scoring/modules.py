"""Scoring Flax modules as they are."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from flax import nnx

from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.modules import GivenModules
from nasproxy.named import as_proxies
from nasproxy.proxies.base import Proxy
from nasproxy.scoring.scores import score


def score_modules(
    modules: Mapping[str, Any],
    proxies: Proxy | str | Sequence[Proxy | str],
    data: Dataset | str | os.PathLike[str],
    *,
    features: str | None = "features",
    seeds: int | Sequence[int] = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores Flax modules as they are: ``score_modules({"small": a, "wide": b}, "nngp", data)``.

    An ``nnx.Module`` is scored with the weights that it has, trained or not: an ensemble of one. A
    Linen module has none before it is initialised, and is initialised by every seed anew. Modules
    are called with standardised images ``[n, h, w, c]`` and return logits ``[n, classes]``; how
    batch norm and dropout are told to run, and which proxies there are, says
    :class:`~nasproxy.modules.ModuleSpace`. Each module compiles programs of its own.

    Nothing is stored: a name says nothing of a module's weights.

    Args:
        modules: ``nnx.Module`` or ``linen.Module`` by name; they are left as they were.
        proxies, data, seeds, progress: as for :func:`nasproxy.score`.
        features: the modules' method that returns penultimate features ``[n, …]``, for ``nngp``.

    Returns:
        The table of :func:`nasproxy.score`, a row a module.

    Raises:
        SettingError, DataError: as :func:`nasproxy.score`; or a proxy that draws several networks,
            of a module that has its weights.
    """
    proxies = as_proxies(proxies)
    space = GivenModules(modules, features)
    own = [name for name, module in space.modules.items() if isinstance(module, nnx.Module)]
    for proxy in proxies:
        for setting in ("ensemble", "trials"):
            given = getattr(proxy, setting, 1)
            if own and max(given if isinstance(given, tuple) else (given,)) > 1:
                raise SettingError(
                    f"{setting}={given} of {proxy.name}: {own[0]} has its weights, which are one "
                    f"network's; give {setting}=1, or nasproxy.ModuleSpace a function that makes it"
                )
    return score(list(space.modules), space, proxies, data, seeds=seeds, progress=progress)
