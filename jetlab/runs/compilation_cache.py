"""JAX's persistent compilation cache: a second process does not compile again."""

import os
from pathlib import Path

import jax


def enable_compilation_cache(folder: Path) -> None:
    """Keep compiled programs in `folder`, unless JAX_COMPILATION_CACHE_DIR is set.

    Takes effect if called before the first program is compiled.
    """
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def user_folder() -> Path:
    """The user's cache folder, for programs outside a study."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jetlab" / "programs"
