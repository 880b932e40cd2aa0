"""Parts of the documentation that are made: they hold all that is registered and committed."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from nasproxy.plugins import PROXIES, SPACES
from nasproxy.space import Product

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generated() -> Any:
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(table: str) -> list[list[str]]:
    """Cells of a Markdown table; an escaped bar parts none."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()
    ]


def test_every_space_has_a_row_with_a_key_of_its_own(generated: Any) -> None:
    head, _, *found = rows(generated.spaces())
    assert [row[0].strip("`") for row in found] == list(SPACES)
    for row in found:
        assert len(row) == len(head)
        space: Any = SPACES[row[0].strip("`")]()
        key = row[head.index("a key")].strip("`").replace("\\|", "|")
        assert key
        kind: Any = Product
        if isinstance(space, kind):  # Others may take half a minute to find one.
            assert space.key(space.find(key)) == key
    sizes = {row[0]: row[head.index("choices")] for row in found}
    assert sizes["`nasbench201`"] == "15,625"
    assert sizes["`nasbench_macro`"] == "6,561"
    assert sizes["`nasbench101`"] == ""


def test_every_proxy_has_a_row_and_its_documentation(generated: Any) -> None:
    _, _, *found = rows(generated.proxies())
    assert [row[0].strip("`") for row in found] == list(PROXIES)
    _, _, *carded = rows(generated.conditions())
    cards = {name: PROXIES[name].card for name in PROXIES if hasattr(PROXIES[name], "card")}
    assert [row[0].strip("`") for row in carded] == list(cards)
    assert all(row[1] == generated.plain(cards[row[0].strip("`")].weights) for row in carded)
    text = generated.classes(PROXIES)
    for name in PROXIES:
        kind = PROXIES[name]
        assert f".. autoclass:: {kind.__module__}.{kind.__qualname__}\n" in text


def test_the_gallery_holds_every_committed_figure(generated: Any) -> None:
    figures = sorted(generated.RESULTS.glob("*/*/figure.png"))
    shown = re.findall(r"{image} (\S+figure\.png)\n", generated.gallery(generated.RESULTS))
    assert len(shown) >= 20
    assert [(DOCS / path).resolve() for path in shown] == [path.resolve() for path in figures]


def test_pages_that_the_front_page_does_not_name_are_listed_after_it(
    generated: Any, tmp_path: Path
) -> None:
    (tmp_path / "index.md").write_text("```{toctree}\nstart\n```")
    for name in ("start", "looking", "apart"):
        (tmp_path / f"{name}.md").write_text("# A page")
    assert generated.more(tmp_path).split("\n\n")[1] == "apart\nlooking\n```\n"
    (tmp_path / "looking.md").unlink()
    (tmp_path / "apart.md").unlink()
    assert generated.more(tmp_path) == ""


def test_texts_are_markdown(generated: Any) -> None:
    assert generated.plain("a ``b`` of :func:`~nasproxy.score`") == "a `b` of `nasproxy.score`"
    assert generated.table(("a",), [("x|y",)]).splitlines()[-1] == r"| x\|y |"
