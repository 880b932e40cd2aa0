"""Scores as readers of a figure know them, not as stores name them: no setting is spelled out
that all have in common."""

from collections.abc import Sequence
from typing import Any

from nasproxy.plugins import PROXIES
from nasproxy.ranking.pooled import Pooled

_PROXIES = {
    "nngp": "NNGP",
    "ntk": "NTK",
    "infinite_width": "kernel of infinite width",
    "params": "parameters",
    "flops": "FLOPs",
    "macs": "multiply-adds",
}
_SETTINGS = {
    "n_train": "n_t = {}",
    "n_valid": "n_v = {}",
    "ensemble": "M = {}",
    "width": "width {}",
}
_WORDS = {
    "negative": "−",
    "loo": "leave-one-out",
    "mse": "MSE",
    "gcv": "GCV",
    "conv3x3": "3×3 convs",
}


def labels(pools: Sequence[Pooled]) -> list[str]:
    """A label for each, in order, no two alike.

    It says the proxy, what is reported besides its score, and whatever else of settings, space,
    data and seeds tells it from the others of that proxy.
    """
    found: list[str] = []
    for pooled in pools:
        name = pooled.first.meaning.proxy
        alike = [p for p in pools if p.first.meaning.proxy == name]
        parts = [_PROXIES.get(name, name.replace("_", " ")), *_measure(pooled, alike)]
        settings = [p.first.meaning.settings for p in alike]
        for key, value in pooled.first.meaning.settings.items():
            if key != "measure" and len({str(other.get(key)) for other in settings}) > 1:
                parts.append(
                    _SETTINGS.get(key, f"{key.replace('_', ' ')} {{}}").format(_said(value))
                )
        for part in ("space", "data", "seed_names"):
            if len({_about(p)[part] for p in alike}) > 1:
                parts.append(str(_about(pooled)[part]))
        label = ", ".join(parts)
        while label in found:  # one setting, scored alone and as a column of several
            label += " (again)"
        found.append(label)
    return found


def unit(proxy: str) -> str:
    """What a proxy's score is a number of, as ``weight layers``; ``score`` if it does not say."""
    return getattr(PROXIES.get(proxy), "unit", "score")


def _about(pooled: Pooled) -> dict[str, Any]:
    return pooled.about | {"seed_names": pooled.seed_names}


def _measure(pooled: Pooled, alike: Sequence[Pooled]) -> list[str]:
    """What of several that a proxy reports."""
    besides = pooled.first.meaning.besides
    if besides:
        return [_words(besides)]
    of_itself = pooled.first.meaning.settings.get("measure")
    of_itself = _words(of_itself) if of_itself else unit(pooled.first.meaning.proxy)
    several = any(p.first.meaning.besides for p in alike)
    return [of_itself] if several and of_itself != "score" else []


def _words(name: str) -> str:
    return " ".join(_WORDS.get(word, word) for word in name.split("_")).replace("− ", "−")


def _said(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)
