"""JAX's persistent compilation cache: a second start need not compile again."""

import os
from pathlib import Path

import jax


def enable_compilation_cache(folder: Path) -> None:
    """Keep compiled programs in `folder`, unless the user keeps them elsewhere
    (JAX_COMPILATION_CACHE_DIR). To be called before the first one is compiled."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def user_folder() -> Path:
    """The user's cache, for programs that belong to no study."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jetlab" / "programs"
