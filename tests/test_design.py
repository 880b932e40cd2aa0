"""The house is as docs/design.md draws it: who imports whom, and one architecture's way through."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from nasproxy.data import Dataset
from nasproxy.proxies import NNGP
from nasproxy.scoring import Session
from nasproxy.store import Store
from search_spaces import NASBench101
from tests.conftest import ROOT

DRAWN = ["search_spaces", "networks", "kernels", "solvers"]
"""What a proxy calls, in the order of the drawing."""


def room(frame: FrameType | None) -> str:
    """``networks`` of ``nasproxy.networks.graph``; empty for other people's code."""
    name = "" if frame is None else frame.f_globals.get("__name__", "")
    package, _, rest = name.partition(".")
    return rest.partition(".")[0] if package == "nasproxy" else package * (package in DRAWN)


@contextmanager
def watched(calls: list[tuple[str, str]]) -> Iterator[None]:
    """Notes every call from one room into another, of this thread."""

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            into, caller = room(frame), frame.f_back
            while caller is not None and not room(caller):  # through JAX, NumPy, functools
                caller = caller.f_back
            if into and room(caller) and into != room(caller):
                calls.append((room(caller), into))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


def test_one_architecture_crosses_each_package_once(tiny_data: Dataset) -> None:
    space = NASBench101(stacks=1, cells=1)
    calls: list[tuple[str, str]] = []
    with Store(None) as store:
        proxy = NNGP(n_train=16, n_valid=16, norm_images=8, width=4)
        session = Session(proxy, space, tiny_data, store)
        session(space.sample(1, 0)[0])  # JAX's tracing would run layers under whoever asks first
        with watched(calls):
            session(space.sample(1, 1)[0])
    ground = {"errors", "arrays", "checks", "threads", "data"}
    steps = [into for caller, into in calls if caller == "proxies" and into not in ground]
    assert [name for name, _ in groupby(steps)] == DRAWN
    driven = [into for caller, into in calls if caller == "scoring"]
    wanted = ["search_spaces", "store", "proxies", "search_spaces", "store"]
    assert [name for name, _ in groupby(driven)][-3:] == wanted[-3:]
    for caller, into in calls:
        assert into not in ("scoring", "proxies") or caller in ("scoring", "proxies")
        if caller in ("networks", "kernels", "solvers"):
            assert into in ground | {"networks"}, f"{caller} calls {into}"


def test_the_drawing_names_what_is_called() -> None:
    drawing = (ROOT / "docs" / "one_architecture.svg").read_text(encoding="utf-8")
    boxes = re.findall(r'font-weight="bold" fill="#1f4e79">(\w+)<', drawing)
    assert boxes == ["scoring", *DRAWN, "proxies", "store", "ranking"]


def test_every_room_is_in_the_list() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    named = {n.removesuffix(".py").rstrip("/") for n in re.findall(r"`([\w/.]+)`", text)}
    rooms = {path.stem for path in (ROOT / "nasproxy").iterdir() if not path.stem.startswith("_")}
    assert rooms - {"compilation", "py"} <= named, rooms - named


UPWARD = {
    "nasproxy/metrics/correlation.py": "import search_spaces",
    "nasproxy/solvers/losses.py": "from nasproxy.scoring import score",
    "search_spaces/product.py": "from nasproxy.store import Store",
    "nasproxy/networks/graph.py": "from nasproxy.networks.execution import place",
    "nasproxy/data/lazy.py": "if True:\n    from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    "    import nasproxy_experiments",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", *UPWARD])
def test_the_contract_fails_if_an_import_goes_up(place: str, tmp_path: Path) -> None:
    """Held as it is; broken by any one import that is put in."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    if not lint_imports.exists():
        pytest.skip("import-linter is not installed: make lint does it")
    for package in ("nasproxy", "search_spaces", "experiments/nasproxy_experiments"):
        for source in (ROOT / package).rglob("*.py"):
            copy = tmp_path / Path(package).name / source.relative_to(ROOT / package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    if place:
        with (tmp_path / place).open("a") as file:
            file.write(f"\n\n{UPWARD[place]}\n")
    done = subprocess.run(
        [str(lint_imports), "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if place else 0), done.stdout + done.stderr
    assert ("BROKEN" in done.stdout) == bool(place)
