"""Where compiled programs are kept between runs."""

import jax

from nasproxy.cache import cache_dir


def persist() -> None:
    """Keeps every program that JAX compiles in the cache folder, unless the user has set another.

    A space has some hundred small programs; a fresh process then reads them instead of compiling.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
