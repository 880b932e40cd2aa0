"""What a notebook shows of our objects, and what a saved one keeps of progress."""

import base64
import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nasproxy import Store, data, markup, score
from nasproxy.data import Dataset
from nasproxy.data.picture import as_pixels
from nasproxy.ranking import render
from search_spaces import NASBenchMacro


def pictures(html: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/png;base64,([^\"]+)", html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_texts_are_escaped_and_numbers_stand_to_the_right() -> None:
    html = markup.table(("a", "<b>"), [("<script>alert(1)</script>", 3)])
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert re.findall(r"<td style=\"text-align:(\w+)", html) == ["left", "right"]


def test_a_data_set_shows_an_image_of_each_class() -> None:
    digits = data.load("digits")
    html = digits._repr_html_()
    assert "digits" in html
    shown = pictures(html)
    assert max(one.max() for one in shown) == 255, "digits of 0 to 16 are seen"
    assert len(shown) == digits.classes == 10
    first = [int(np.flatnonzero(digits.train_labels == label)[0]) for label in range(10)]
    expected = as_pixels(np.asarray(digits.train_images[np.sort(first)]))[..., 0]
    assert np.array_equal(np.stack(shown), expected)


def test_images_of_floats_span_all_bytes_and_other_channels_are_left_out(
    tiny_data: Dataset,
) -> None:
    shown = np.stack(pictures(tiny_data._repr_html_()))
    assert shown.shape == (4, 8, 8, 3)
    assert (shown.min(), shown.max()) == (0, 255)
    assert as_pixels(np.full((1, 2, 2, 1), 7.0)).max() == 0
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 5))
    odd = data.from_arrays(images, np.arange(8) % 2, images, np.arange(8) % 2)
    assert "<img" not in odd._repr_html_()


def test_a_store_shows_its_groups_and_a_ranking_its_rows(tiny_data: Dataset) -> None:
    space = NASBenchMacro(width=8)
    networks = space.sample(12, seed=0)
    with Store(None) as store:
        table = score(networks, space, ["params", "macs"], tiny_data, store=store, progress=False)
        assert repr(store) == "Store in memory: 24 scores, 0 failed, 2 groups"
        cells = re.findall(r"<td[^>]*>(.*?)</td>", store._repr_html_())
        ranking: Any = store.rank(table["params"].rename("<truth>"))
    assert len(cells) == 12
    assert cells[4::6] == ["12", "12"]
    assert repr(store) == "Store in memory", "closed, and no error"
    html = ranking._repr_html_()
    assert html == render(ranking, "html")
    assert "&lt;truth&gt;" in html
    assert "<truth>" not in html
    for proxy in ("params", "macs"):
        assert f">{proxy}</td>" in html
    assert "τ" in html
    part = ranking[["proxy", "kendall_tau"]]
    assert type(part) is pd.DataFrame
    assert type(ranking.head(1)) is pd.DataFrame


def saved(*cells: str) -> list[list[dict]]:
    """The outputs of cells of a notebook, as they are saved."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: extra docs")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: extra docs")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [cell["outputs"] for cell in notebook.cells]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own, on paths and event loops
def test_a_saved_notebook_keeps_the_last_line_of_progress() -> None:
    (outputs,) = saved(
        "import time\n"
        "from nasproxy.progress import bar\n"
        "with bar('nngp', 8) as advance:\n"
        "    for _ in range(8):\n"
        "        time.sleep(0.2)\n"
        "        advance()\n"
    )
    (line,) = [output["data"]["text/plain"] for output in outputs]
    assert re.fullmatch(r"█{24} nngp: 8/8, \d s", line), line
