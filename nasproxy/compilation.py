"""How JAX is set up: where compiled programs are kept, and how short ones are run."""

import os
from contextlib import suppress

import jax

from nasproxy.cache import cache_dir, make_folder


def configure() -> None:
    """Sets what small programs need, unless the user has set it; once JAX runs it changes nothing.

    A space has some hundred small programs. They are kept in the cache folder, so that a fresh
    process reads them instead of compiling; and on a CPU the thread that calls one runs it, because
    handing it to another costs a large part of its time.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        programs = cache_dir() / "programs"
        with suppress(OSError):  # JAX says so where it cannot write, and compiles
            make_folder(programs)
        jax.config.update("jax_compilation_cache_dir", str(programs))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    if "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
