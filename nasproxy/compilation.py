"""How JAX is set up: where compiled programs are kept, and how short ones are run."""

import os
from contextlib import suppress
from functools import cache

import jax

from nasproxy.cache import cache_dir, make_folder
from nasproxy.errors import SettingError


@cache
def configure() -> None:
    """Sets what small programs need, once, unless the user has set it.

    A space has some hundred small programs. They are kept in the cache folder, so that a fresh
    process reads them instead of compiling; and on a CPU the thread that calls one runs it, because
    handing it to another costs a large part of its time.

    A user's ``jax_compilation_cache_dir`` stays. So does
    ``jax_cpu_enable_async_dispatch`` set to anything from now on; set before, True looks like JAX's
    default, and ``JAX_CPU_ENABLE_ASYNC_DISPATCH=1`` in the environment says that it is meant. Once
    JAX runs, dispatch stays as it is.

    Raises:
        SettingError: JAX has not the platform that the user's ``JAX_PLATFORMS`` asks for.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        programs = cache_dir() / "programs"
        with suppress(OSError):  # JAX says so where it cannot write, and compiles
            make_folder(programs)
        jax.config.update("jax_compilation_cache_dir", str(programs))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    # JAX itself does not read the variable.
    if os.environ.get("JAX_CPU_ENABLE_ASYNC_DISPATCH", "0").lower() in ("0", "false", ""):
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    _check_platform(jax.config.values["jax_platforms"])


def _check_platform(platforms: str | None) -> None:
    """Starts JAX on what the user has asked for; left alone, it finds something to run on."""
    if platforms in (None, "", "cpu"):
        return
    try:
        jax.devices()
    except Exception as error:  # Also assertions, where a plugin is not there.
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise SettingError(
            f"JAX_PLATFORMS={platforms}: JAX does not start on it ({said}); give cpu, a platform "
            "that is installed with its driver (cuda: pip install 'jax[cuda12]'), or nothing, and "
            "JAX takes what there is"
        ) from error
