"""What is loaded when: nothing before it is asked for, and JAX is set up before it computes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nasproxy
import search_spaces
from nasproxy import proxies

HEAVY = {"jax", "numpy", "pandas", "scipy", "sklearn", "flax", "matplotlib", "tensorflow_datasets"}


def loaded(code: str) -> set[str]:
    """Names of the modules that a fresh process holds after the code."""
    command = [sys.executable, "-c", f"import json, sys\n{code}\nprint(json.dumps([*sys.modules]))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import nasproxy",
        "import nasproxy; nasproxy.__version__, dir(nasproxy)",
        "from nasproxy.cli import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0",
        "from nasproxy.cli import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['score', '--help']).exit_code == 0",
    ],
    ids=["import", "version", "help", "help of a command"],
)
def test_starting_loads_nothing_heavy(code: str) -> None:
    assert not loaded(code) & HEAVY


def test_a_space_brings_no_proxy_no_store_and_no_command_line() -> None:
    names = loaded("import search_spaces\nsearch_spaces.NASBench101, search_spaces.MNAS")
    assert "search_spaces.mnas.space" in names
    above = ("proxies", "store", "scoring", "ranking", "cli", "kernels", "solvers")
    assert not {n for n in names if n.startswith(tuple(f"nasproxy.{room}" for room in above))}


@pytest.mark.parametrize("room", ["networks.graph", "kernels", "proxies.nngp", "scoring"])
def test_jax_is_set_up_by_whatever_computes_first(room: str) -> None:
    code = f"import nasproxy.{room}, jax; print(jax.config.jax_compilation_cache_dir)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("programs")


@pytest.mark.parametrize("package", [nasproxy, proxies, search_spaces])
def test_every_public_name_is_there(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]  # made by lazy_loader
    assert names
    assert set(names) <= set(dir(package))
    for name in names:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        package.nothing_of_that_name  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", nasproxy.__version__)
    command = [sys.executable, "-m", "nasproxy", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"nasproxy {nasproxy.__version__}"


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    code = (
        "import nasproxy.kernels, jax; "
        "print(jax.config.values['jax_compilation_cache_dir'], "
        "jax.config.values['jax_cpu_enable_async_dispatch'])"
    )
    own = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_CPU_ENABLE_ASYNC_DISPATCH": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path), "True"]
