"""Tests share one persistent compilation cache and check every annotated shape."""

import os
from pathlib import Path

from jaxtyping import install_import_hook

CACHE = Path(__file__).parent.parent / ".cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

install_import_hook("jetlab", "beartype.beartype")
