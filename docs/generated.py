"""Pages' parts that are made: tables of registries, the interface of proxies, the gallery."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

from nasproxy.plugins import PROXIES, SPACES, SUITES, Registry
from nasproxy.proxies.base import Card
from nasproxy.reproduce import suites as reproduce
from nasproxy.settings import first_line
from nasproxy.space import Product

RESULTS = Path(__file__).parents[1] / "results"
_BAR = re.compile(r"\|")


def write(docs: Path) -> None:
    """Writes all parts to ``docs/_generated``, those that changed, for pages to include."""
    folder = docs / "_generated"
    folder.mkdir(exist_ok=True)
    parts = {
        "spaces": spaces(),
        "proxies": proxies(),
        "conditions": conditions(),
        "proxy_classes": classes(PROXIES),
        "space_classes": classes(SPACES),
        "suites": suites(),
        "gallery": gallery(RESULTS),
        "more": more(docs),
    }
    for name, text in parts.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def spaces() -> str:
    """A row a registered space: what it is, its size where that is known, a key, its settings."""
    rows = []
    for name in SPACES:
        kind = SPACES[name]
        space = kind()
        key = space.key(space.sample(1, 0)[0])
        rows.append(
            (
                f"`{name}`",
                plain(first_line(kind)),
                _many(_size(space)),
                f"`{key}`",
                ", ".join(space.samplers),
                _settings(kind),
            )
        )
    return table(("space", "what it is", "choices", "a key", "samplers", "settings"), rows)


def proxies() -> str:
    """A row a registered proxy: what it is, its settings and presets."""
    rows = []
    for name in PROXIES:
        kind = PROXIES[name]
        presets = ", ".join(f"`{preset}`" for preset in getattr(kind, "presets", {}))
        rows.append((f"`{name}`", plain(first_line(kind)), _settings(kind), presets))
    return table(("proxy", "what it is", "settings", "presets"), rows)


def conditions() -> str:
    """A row a proxy that says under which conditions it scores, in its ``card``."""
    rows = []
    for name in PROXIES:
        if (card := getattr(PROXIES[name], "card", None)) is not None:
            rows.append((f"`{name}`", *map(plain, card)))
    return table(("proxy", *(field.replace("_", " ") for field in Card._fields)), rows)


def classes(registry: Registry) -> str:
    """The documentation of each registered class."""
    entries = []
    for name in registry:
        kind = registry[name]
        path = f"{kind.__module__}.{kind.__qualname__}"
        entries.append(
            f"## `{name}`\n\n```{{eval-rst}}\n.. autoclass:: {path}\n   :no-members:\n```\n"
        )
    return "\n".join(entries)


def suites() -> str:
    """A row an experiment of a registered suite."""
    rows = []
    for name in SUITES:
        for label, experiment in reproduce.experiments(SUITES[name]).items():
            rows.append((f"`{name}/{label}`", plain(reproduce.title(experiment))))
    return table(("experiment", "what it asks"), rows)


def gallery(results: Path) -> str:
    """Every committed figure, with its title and what was found."""
    parts = []
    for figure in sorted(results.glob("*/*/figure.png")):
        text = (figure.parent / "README.md").read_text(encoding="utf-8")
        title = text.partition("\n")[0].lstrip("# ").strip().rstrip(".")
        found = re.search(r"\*\*Here\.\*\* (.*?)(?:\n\n|\Z)", text, re.DOTALL)
        place = figure.parent.relative_to(results)
        parts.append(
            f"## {title}\n\n`results/{place}`\n\n```{{image}} ../results/{place}/figure.png\n"
            f":alt: {title}\n:class: gallery\n```\n\n"
            f"{found.group(1).strip() if found else ''}\n"
        )
    return "\n".join(parts)


def more(docs: Path) -> str:
    """A list of contents of the pages that the front page does not name."""
    named = (docs / "index.md").read_text(encoding="utf-8").split()
    pages = sorted(path.stem for path in docs.glob("*.md"))
    left = [page for page in pages if page != "index" and page not in named]
    if not left:
        return ""
    listed = "\n".join(left)
    return f"```{{toctree}}\n:maxdepth: 1\n:hidden:\n:caption: Further\n\n{listed}\n```\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(_BAR.sub(r"\\|", cell) for cell in line) + " |" for line in lines
    )


def plain(text: str) -> str:
    """A docstring's line as Markdown: roles and double backticks become code."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text)


def _settings(kind: Any) -> str:
    shown = [f"`{f.name}={f.default}`" for f in dataclasses.fields(kind)]
    return ", ".join(shown) or "none"


def _many(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size:,}" if size < 10**9 else f"{size:.1e}"


def _size(space: Any) -> int | None:
    return math.prod(len(set(c)) for c in space.choices) if isinstance(space, Product) else None
