"""JAX is set up once, and not over what its user has set."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


READ = "print(jax.config.values['jax_cpu_enable_async_dispatch'])"


@pytest.mark.parametrize(
    ("code", "environment", "expected"),
    [
        ("", {}, "False"),
        ("", {"JAX_CPU_ENABLE_ASYNC_DISPATCH": "1"}, "True"),
        ("", {"JAX_CPU_ENABLE_ASYNC_DISPATCH": "0"}, "False"),
        ("jax.config.update('jax_cpu_enable_async_dispatch', True)", {}, "True"),
    ],
)
def test_a_users_dispatch_stays(code: str, environment: dict[str, str], expected: str) -> None:
    """Also what is set between the first package that sets JAX up and the next."""
    done = run(
        f"import jax, nasproxy.networks\n{code}\nimport nasproxy.kernels\n{READ}", **environment
    )
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("platform", ["cuda", "cqu", "rocm"])
def test_a_platform_that_is_not_there_is_one_line(platform: str) -> None:
    import jax

    if jax.default_backend() != "cpu":
        pytest.skip("there is an accelerator")
    code = (
        "import sys; sys.argv[1:] = ['fit', '--depth', '1']; from nasproxy.cli import main; main()"
    )
    done = run(code, JAX_PLATFORMS=platform)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"JAX_PLATFORMS={platform}: JAX does not start on it" in done.stderr
    assert "give cpu" in done.stderr


def test_a_platform_that_is_there_is_used() -> None:
    done = run("import nasproxy.kernels, jax; print(jax.default_backend())", JAX_PLATFORMS="cpu")
    assert done.stdout.split() == ["cpu"], done.stderr
