"""Tests share one persistent compilation cache and check every annotated shape."""

import os
from pathlib import Path

from jaxtyping import install_import_hook

CACHE = Path(__file__).parent.parent / ".cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# an int where a float is asked is right, as PEP 484 has it
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook("jetlab", CHECKER)
