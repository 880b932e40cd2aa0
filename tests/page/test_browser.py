"""The page in a browser: it opens, a brush changes the number, a click draws, nothing is run."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nasproxy.metrics import bootstrap, kendall_tau
from nasproxy.page import write_page
from tests.page.support import ATTACK, filled

pytest.importorskip("bokeh", reason="Bokeh is not installed: pip install 'nasproxy[page]'")
webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no chromium and chromedriver: apt-get install chromium chromium-driver",
    ),
    pytest.mark.slow,
]
N = 60


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for word in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1400,1000"):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store, truth = filled(N)
    found = tmp_path_factory.mktemp("page") / "p.html"
    with store:
        write_page(store, truth, found, title=ATTACK, n_resamples=5)
    return found


@pytest.fixture
def page(driver: Any, path: Path) -> Any:
    """The page, opened anew; what the console says is a failure."""
    driver.set_window_size(1400, 1000)
    driver.get(f"file://{path}")
    wait(lambda: driver.execute_script("return document.body.dataset.ready") == "yes")
    yield driver
    said = [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"]
    assert not said
    assert "hacked" not in driver.title.replace(ATTACK, "")


def wait(ready: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "the page did not get there"
        time.sleep(0.05)


def text(page: Any, name: str) -> str:
    return page.execute_script("return document.getElementById(arguments[0]).textContent", name)


def choose(page: Any, name: str, label: str) -> None:
    page.execute_script(
        """const control = document.getElementById(arguments[0]);
        control.value = Array.from(control.options).find((o) => o.text === arguments[1]).value;
        control.dispatchEvent(new Event("change", { bubbles: true }));
        control.dispatchEvent(new Event("input", { bubbles: true }));""",
        name,
        label,
    )


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Over the plot's frame, as shares of it from its left upper corner."""
    from selenium.webdriver import ActionChains

    box = frame(page)
    at = [(box["x"] + box["w"] * x, box["y"] + box["h"] * y) for x, y in (start, end)]
    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(*map(round, at[0]))
    actions.w3c_actions.pointer_action.pointer_down()
    actions.w3c_actions.pointer_action.move_to_location(
        *(round(sum(c) / 2) for c in zip(*at, strict=True))
    )
    actions.w3c_actions.pointer_action.move_to_location(*map(round, at[1]))
    actions.w3c_actions.pointer_action.pointer_up()
    actions.perform()


def click(page: Any, x: float, y: float) -> None:
    from selenium.webdriver import ActionChains

    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.w3c_actions.pointer_action.click()
    actions.perform()


FRAME = """const plot = Bokeh.documents[0].get_model_by_name("figure");
const view = Bokeh.index.find_one(plot);
const box = view.canvas_view.el.getBoundingClientRect(), inner = view.frame.bbox;
return { x: box.left + inner.left, y: box.top + inner.top, w: inner.width, h: inner.height,
  points: arguments[0].map(([x, y]) => [box.left + view.frame.x_scale.compute(x),
    box.top + view.frame.y_scale.compute(y)]) };"""


def frame(page: Any, points: Any = ()) -> dict[str, Any]:
    """Where the plot's frame is in the window, and where points of it are."""
    page.execute_script('document.getElementById("plot").scrollIntoView({ block: "center" })')
    return page.execute_script(FRAME, [list(map(float, point)) for point in points])


def drawn(page: Any) -> dict[str, Any]:
    """The numbers behind the plot, by key."""
    found = page.execute_script(
        """const points = Bokeh.documents[0].get_model_by_name("points");
        return { x: Array.from(points.data.x), y: Array.from(points.data.y),
          key: Array.from(points.data.key), selected: Array.from(points.selected.indices),
          kept: Array.from(Bokeh.documents[0].get_model_by_name("kept").indices) };"""
    )
    return found | {name: np.array(found[name], float) for name in "xy"}


def tau_of(said: str) -> tuple[float, int]:
    """``shown: τ +.512 [+.3, +.6], n = 59``."""
    value, n = said.partition("τ ")[2].split()[0], said.rpartition("n = ")[2]
    return float(value.rstrip(",").replace("−", "-")), int(n.replace(",", ""))


def test_it_opens_with_the_best_score_against_the_truth(page: Any) -> None:
    data = drawn(page)
    finite = np.isfinite(data["x"]) & np.isfinite(data["y"])
    tau, n = tau_of(text(page, "tau-all"))
    assert n == finite.sum() == N - 1
    assert tau == pytest.approx(stats.kendalltau(data["x"][finite], data["y"][finite])[0], abs=6e-4)
    assert len(page.find_elements("css selector", "#best img")) == 10
    assert (
        page.execute_script("return document.querySelectorAll('#best img, #drawn img').length")
        == 11
    )
    assert not page.find_elements("css selector", "b, script[src]")


def test_a_brush_changes_the_number(page: Any) -> None:
    drag(page, (0.02, 0.02), (0.6, 0.98))
    wait(lambda: "selected:" in text(page, "tau-selected"))
    data = drawn(page)
    selected = data["selected"]
    assert 1 < len(selected) < N - 1
    tau, n = tau_of(text(page, "tau-selected"))
    assert n == len(selected)
    expected = stats.kendalltau(data["x"][selected], data["y"][selected])[0]
    assert tau == pytest.approx(expected, abs=6e-4)
    page.find_element("id", "nothing").click()
    wait(lambda: "drag over" in text(page, "tau-selected"))


def test_a_click_draws_the_architecture(page: Any) -> None:
    data = drawn(page)
    place = int(np.nanargmin(np.where(np.isfinite(data["x"]), data["y"], np.nan)))
    before = text(page, "drawn")
    ((x, y),) = frame(page, [(data["x"][place], data["y"][place])])["points"]
    click(page, x, y)
    wait(lambda: text(page, "drawn") != before)
    assert data["key"][place] in text(page, "drawn")
    image = page.find_element("css selector", "#drawn img")
    assert page.execute_script("return arguments[0].naturalWidth", image) > 50
    assert "<svg" in page.execute_script("return decodeURIComponent(arguments[0].src)", image)


def test_a_click_on_one_of_the_best_and_on_a_row_of_the_ranking(page: Any) -> None:
    best = page.find_elements("css selector", "#best button")[4]
    page.execute_script("arguments[0].click()", best)
    data = drawn(page)
    order = sorted(data["kept"], key=lambda i: -data["x"][i])
    assert data["x"][data["selected"][0]] == data["x"][order[4]]
    (row,) = page.find_elements("css selector", "tr.baseline [data-column]")
    page.execute_script("arguments[0].click()", row)
    assert page.find_element("id", "x").get_attribute("value") == row.get_attribute("data-column")


def test_axes_logarithms_and_filters(page: Any) -> None:
    choose(page, "x", "parameters")
    page.find_element("id", "log-x").click()
    data = drawn(page)
    assert data["x"].max() < 3, "50 and a little, as a power of ten"
    tau = text(page, "tau-all")
    page.find_element("id", "log-x").click()
    assert text(page, "tau-all") == tau, "ranks do not know logarithms"
    choose(page, "by", "parameters")
    least = float(np.median(drawn(page)["x"]))
    page.find_element("id", "least").send_keys(str(least))
    data = drawn(page)
    assert set(data["kept"]) == {
        i for i in range(N) if data["x"][i] >= least and np.isfinite(data["y"][i])
    }
    assert tau_of(text(page, "tau-all"))[1] == len(data["kept"])
    page.find_element("id", "least").clear()
    place = data["kept"][5]
    page.find_element("id", "part").send_keys(data["key"][place])
    assert drawn(page)["kept"] == [place]
    assert "n = 1" in text(page, "tau-all")


def test_names_of_others_are_text_when_hovered_and_in_the_table(page: Any) -> None:
    choose(page, "x", next(o for o in options(page, "x") if o.startswith("</script>")))
    data = drawn(page)
    place = data["key"].index(ATTACK)
    ((x, y),) = frame(page, [(data["x"][place], data["y"][place])])["points"]
    from selenium.webdriver import ActionChains

    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()
    page.execute_script(
        """Bokeh.documents[0].get_model_by_name("points").selected.indices = arguments[0]""",
        [place],
    )
    wait(lambda: ATTACK in text(page, "drawn"))
    found = page.execute_script(
        """const seen = [];
        const walk = (root) => root.querySelectorAll("*").forEach((element) => {
          seen.push(element.tagName); if (element.shadowRoot) walk(element.shadowRoot); });
        walk(document); return seen;"""
    )
    assert found.count("B") == 0, "no name became an element"


def options(page: Any, name: str) -> list[str]:
    return [o.text for o in page.find_elements("css selector", f"#{name} option")]


@pytest.mark.parametrize("width", [390, 1400])
def test_it_is_usable_at_a_width(page: Any, width: int) -> None:
    """A window is not made narrower than 500 pixels, a device is."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        wait(lambda: page.execute_script("return innerWidth") == width)
        wide = "return document.documentElement.scrollWidth"
        wait(lambda: page.execute_script(wide) <= width, 20)
        box = frame(page)
        assert box["w"] > 0.55 * min(width, 900)
        assert box["x"] + box["w"] <= width
        drag(page, (0.05, 0.05), (0.7, 0.95))
        wait(lambda: "selected:" in text(page, "tau-selected"))
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# The number: against SciPy, and against leaving each one out in turn.


def scipys(x: Any, y: Any) -> float:
    return float(np.asarray(stats.kendalltau(x, y))[0])


def interval(page: Any, x: Any, y: Any) -> dict[str, Any]:
    values = [np.asarray(v, float).tolist() for v in (x, y)]
    return page.execute_script("return kendall.interval(...arguments)", *values)


RNG = np.random.default_rng(1)
CASES = {
    "plain": RNG.normal(size=(2, 40)),
    "ties in both": RNG.integers(0, 5, (2, 60)),
    "ties in one": np.stack([RNG.integers(0, 3, 50), RNG.normal(size=50)]),
    "opposed": np.stack([np.arange(30), -np.arange(30) + 4 * RNG.normal(size=30)]),
    "few": RNG.normal(size=(2, 5)),
}


@pytest.mark.parametrize("name", CASES)
def test_tau_is_scipys_and_its_interval_the_jackknifes(page: Any, name: str) -> None:
    x, y = CASES[name]
    found = interval(page, x, y)
    tau = scipys(x, y)
    assert found["n"] == len(x)
    assert found["tau"] == pytest.approx(tau, abs=1e-12)
    if len(x) < 10:
        assert found["low"] is None or np.isnan(found["low"])
        return
    rest = [np.arange(len(x)) != i for i in range(len(x))]
    without = np.array([scipys(x[keep], y[keep]) for keep in rest])
    error = np.sqrt((len(x) - 1) * without.var()) / (1 - tau**2)
    ends = np.tanh(np.arctanh(tau) + stats.norm.ppf([0.025, 0.975]) * error)
    assert [found["low"], found["high"]] == pytest.approx(ends, abs=1e-9)


def test_the_interval_is_close_to_the_rankings_bootstrap(page: Any) -> None:
    truth = RNG.normal(size=400)
    score = np.round(truth + 2 * RNG.normal(size=400), 1)
    found = interval(page, score, truth)
    low, high = bootstrap(kendall_tau, score, truth, n_resamples=400)
    assert found["low"] == pytest.approx(low, abs=0.02)
    assert found["high"] == pytest.approx(high, abs=0.02)


@pytest.mark.parametrize("x", [[], [1.0], [2.0] * 30], ids=["none", "one", "constant"])
def test_tau_of_nothing_is_nothing(page: Any, x: list[float]) -> None:
    found = interval(page, x, list(range(len(x))))
    assert found["tau"] is None or np.isnan(found["tau"])


def test_perfect_order_has_no_interval(page: Any) -> None:
    found = interval(page, range(20), range(20))
    assert found["tau"] == pytest.approx(1)
    assert found["low"] is None or np.isnan(found["low"])
