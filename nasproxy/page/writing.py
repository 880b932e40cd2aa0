"""From a store and a truth to one HTML file."""

import base64
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pandas as pd

from nasproxy import files
from nasproxy.drawing import svg
from nasproxy.drawing.style import LINE, Paint
from nasproxy.errors import DependencyError, SettingError
from nasproxy.page import packing
from nasproxy.page.claims import Claim
from nasproxy.page.contents import Contents, contents
from nasproxy.page.figure import models
from nasproxy.ranking import cells
from nasproxy.store import Store
from nasproxy.store.columns import CONTEXT

_WHISKER = 150.0
_SCALE = (-0.2, 1.0)


def write_page(
    store: Store,
    truth: pd.Series,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    claims: Sequence[Claim] = (),
    provenance: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Writes a page, whole or not at all: 3,000 architectures in less than 3 MB.

    Everything stands in the one file, and its content security policy forbids the rest: no address
    is opened, and no script runs but those of the page, by their hashes. Names and keys of stores
    and tables are text wherever they stand; drawings are images.

    Args:
        store: what was scored.
        truth: indexed by architecture key; of ``nasproxy.ranking.reference.read_truth``, say.
        path: a .html file.
        title: of the page; what the truth is, by default.
        claims: of a paper, to stand beside it; see :func:`nasproxy.page.read_claims`.
        provenance: further lines on where the scores come from, by name.
        options: of :func:`nasproxy.ranking.rank_store`: ``given``, ``against``, ``ceiling``, ….

    Raises:
        StoreError, TruthError, SettingError: as ``rank_store``; or a path that cannot be written.
        DependencyError: Bokeh is not installed.
    """
    check_path(path)
    told = {**_runs(store), **(provenance or {})}
    text = rendered(contents(store, truth, **options), title, claims, told)
    try:
        files.write_text(path, text)
    except OSError as error:
        raise SettingError(f"{path} cannot be written ({error}): check the folder") from error


def check_path(path: str | os.PathLike[str]) -> None:
    """Raises SettingError or DependencyError where :func:`write_page` would, before it computes."""
    if Path(path).suffix.lower() != ".html":
        raise SettingError(f"{path}: a page is HTML, give a .html file")
    models()
    try:
        files.check_place(path)
    except OSError as error:
        raise SettingError(f"{path} cannot be written ({error}): check the folder") from error


def rendered(
    found: Contents, title: str, claims: Sequence[Claim], provenance: Mapping[str, str]
) -> str:
    """The page as text."""
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise DependencyError(
            f"a page needs Jinja ({error}): pip install 'nasproxy[page]'"
        ) from error
    documents, bokeh, _ = models()
    own = [_closed(_asset(name)) for name in ("kendall.js", "page.js")]
    first = _first(found)
    facts = {
        "columns": [
            {"label": c.label, "name": c.name, "lower": c.lower, "role": c.role}
            for c in found.columns
        ],
        "block": packing.BLOCK,
        "models": documents,
        "first": first,
    }
    truth = found.columns[0].label
    template = Environment(autoescape=True).from_string(_asset("page.html"))
    return template.render(
        title=title or f"Ranking against {truth}",
        policy=_policy([*bokeh, *own]),
        version=version("nasproxy"),
        style=Markup(_asset("page.css")),
        summary=_summary(found),
        cautions=_cautions(found),
        means=_means(found),
        truth=truth,
        groups=_groups(found),
        notes=cells.notes(found.table),
        claims=claims,
        provenance=list({**provenance, **_versions()}.items()),
        facts=Markup(packing.script_json(facts)),
        keys=packing.texts(found.keys),
        numbers=packing.numbers([column.values for column in found.columns]),
        drawings="\n".join(packing.blocks([drawing.svg for drawing in found.drawings])),
        library=[packing.packed(script.encode()) for script in bokeh],
        scripts=[Markup(script) for script in own],
    )


def _asset(name: str) -> str:
    return resources("nasproxy.page").joinpath("assets", name).read_text(encoding="utf-8")


def _closed(script: str) -> str:
    """A script that does not end its element: in JavaScript's strings the two are the same."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """Nothing but these scripts; styles of the page's own and Bokeh's; images that stand in it."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _first(found: Contents) -> dict[str, int | None]:
    """What is drawn at first: the best score that is independent, coloured by the best baseline."""
    places = {column.name: place for place, column in enumerate(found.columns)}
    rows = list(zip(found.rows, cells.rows_of(found.table), strict=True))
    own = [name for name, row in rows if not row["same_run"]] or [name for name, _ in rows]
    roles = {column.name: column.role for column in found.columns}
    scores = [name for name in own if roles[name] == "score"] or own
    cheap = [name for name in own if roles[name] == "baseline"]
    return {"x": places[scores[0]], "c": places[cheap[0]] if cheap else None}


def _summary(found: Contents) -> str:
    rows = len(found.table)
    return (
        f"{found.total:,} architectures, {rows} column{'s' * (rows > 1)} of scores against "
        f"{found.columns[0].label}."
    )


def _cautions(found: Contents) -> list[str]:
    said = []
    if found.total > len(found.keys):
        said.append(
            f"{len(found.keys):,} of {found.total:,} architectures are on this page, drawn evenly; "
            "the ranking is over all."
        )
    if not any(column.role == "baseline" for column in found.columns):
        said.append(
            "No baseline is among the scores: parameters, FLOPs and counts cost nothing, and often "
            "rank as well. nasproxy score … --proxy params --proxy flops --proxy counts adds them."
        )
    return said


def _means(found: Contents) -> str:
    several = (found.table["seeds"] > 1).any()
    return "Of several seeds the mean is drawn, which may rank better than they do. " * bool(
        several
    )


def _groups(found: Contents) -> list[dict[str, Any]]:
    """The ranking, a table for each space, data and draw."""
    from markupsafe import Markup

    places = {column.name: place for place, column in enumerate(found.columns)}
    roles = {column.name: column.role for column in found.columns}
    labels = {column.name: column.label for column in found.columns}
    apart = bool(found.table.duplicated(["proxy", "space", "data"]).any())
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for name, row in zip(found.rows, cells.rows_of(found.table), strict=True):
        shown = cells.measures(row, apart) | cells.beside(row)
        first, *below = shown.pop("proxy")
        marks = first[len(row["proxy"]) :]
        told = {
            "proxy": (labels[name] + marks, first, *below)
            if labels[name] != first
            else (first, *below)
        }
        context = tuple(str(row[part]) for part in CONTEXT)
        groups.setdefault(context, []).append(
            {
                "column": places[name],
                "role": roles[name],
                "cells": told | shown,
                "whisker": Markup(_whisker(row)),
            }
        )
    return [
        {
            "context": " · ".join([space, data, f"drawn: {drawn}"]),
            "names": list(rows[0]["cells"]),
            "rows": rows,
        }
        for (space, data, drawn), rows in groups.items()
    ]


def _whisker(row: Mapping[str, Any]) -> str:
    """τ and its interval on one scale for all rows, as SVG."""
    value, low, high = (row[f"kendall_tau{end}"] for end in ("", "_low", "_high"))
    least, most = _SCALE

    def at(tau: float) -> float:
        return 4 + (_WHISKER - 8) * (min(max(tau, least), most) - least) / (most - least)

    parts = [svg.line(f"M{svg.number(at(0))} 1V19", stroke="#c5c5c5")]
    if not math.isnan(low):
        parts.append(svg.line(f"M{svg.number(at(low))} 10H{svg.number(at(high))}", stroke=LINE))
    if not math.isnan(value):
        dot = Paint("#1f4e79", "#1f4e79")
        parts.append(svg.box(at(value) - 3, 7, 6, 6, dot, 3))
    size = f'width="{svg.number(_WHISKER)}" height="20"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} aria-hidden="true">{"".join(parts)}</svg>'
    )


def _runs(store: Store) -> dict[str, str]:
    """What was scored, with every setting: a line each space, data and proxy."""
    seeds: dict[tuple[str, str, str], list[str]] = {}
    for group in store.groups():
        seeds.setdefault((group.space, group.data, group.proxy), []).append(str(group.seed))
    return {
        f"scores {place}": f"{proxy}; {space}; {data}; seed {', '.join(numbers)}"
        for place, ((space, data, proxy), numbers) in enumerate(seeds.items(), start=1)
    }


def _versions() -> dict[str, str]:
    import bokeh

    return {"page": f"nasproxy {version('nasproxy')}, Bokeh {bokeh.__version__}"}
