"""Compiled programs are kept on disk: a second start need not compile again."""

import os
from pathlib import Path

import jax


def keep(folder: Path) -> None:
    """Keep this process's programs in `folder`, unless the user keeps them elsewhere
    (JAX_COMPILATION_CACHE_DIR). To be called before the first one is compiled."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def user_folder() -> Path:
    """Where programs go that belong to no study: the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jetlab" / "programs"
