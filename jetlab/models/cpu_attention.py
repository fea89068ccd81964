"""Attention inside jets of any length, without padding: a C++ kernel for CPUs.

The kernel is compiled once for each processor and kept in the user's cache folder.
Without a compiler, attention runs over groups of jets (`token_layout.FlatLayout`).
"""

import ctypes
import hashlib
import os
import shlex
import subprocess
import tempfile
import warnings
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

SOURCE = Path(__file__).with_name("ragged_attention.cc")
FLAGS = (
    *("-shared", "-fPIC", "-std=c++17", "-O3", "-march=native"),
    *("-ffp-contract=fast", "-fno-math-errno"),
)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def attend(
    query: Float[Array, "q d"],
    key_value: Float[Array, "t 2*d"],
    counts: Int[Array, "b"],
    heads: int,
) -> Float[Array, "q d"]:
    """softmax(q k^T / sqrt(d/h)) v inside each jet, in float32.

    Rows are those of `FlatLayout`: b class tokens, then the particles of one jet after
    another; rows past the last particle give zeros. Queries are all tokens, or the b
    class tokens.

    Raises:
      RuntimeError: unless `available()`.
    """
    return _forward(query, key_value, counts, heads)[0]


def _forward(query, key_value, counts, heads):
    if not available():
        raise RuntimeError(
            "the CPU attention kernel is not available: use a packing with groups of"
            " jets (choose_packing(grouped=True))"
        )
    float32 = query.astype(jnp.float32), key_value.astype(jnp.float32)
    out = (
        jax.ShapeDtypeStruct(query.shape, jnp.float32),
        jax.ShapeDtypeStruct((len(query), heads), jnp.float32),
    )
    call = jax.ffi.ffi_call("jetlab_attend", out, vmap_method="sequential")
    counts = counts.astype(jnp.int32)
    mixed, log_sums = call(*float32, counts, heads=np.int64(heads))
    residuals = (query, key_value, counts, mixed, log_sums)
    return mixed.astype(query.dtype), residuals


def _backward(heads, residuals, grad):
    query, key_value, counts, mixed, log_sums = residuals
    float32 = [a.astype(jnp.float32) for a in (query, key_value)]
    out = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in float32]
    call = jax.ffi.ffi_call("jetlab_attend_back", out, vmap_method="sequential")
    grad = grad.astype(jnp.float32)
    grads = call(*float32, counts, mixed, log_sums, grad, heads=np.int64(heads))
    return grads[0].astype(query.dtype), grads[1].astype(key_value.dtype), None


attend.defvjp(_forward, _backward)


@cache
def available() -> bool:
    """Whether `attend` can run: JAX computes on a CPU and the kernel compiles."""
    if jax.default_backend() != "cpu":
        return False
    try:
        library = ctypes.CDLL(str(_compiled()))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        warnings.warn(
            "the CPU attention kernel cannot be compiled, so training is about half as"
            f" fast: {reason.strip()}; install a C++ compiler as 'c++', or set CXX",
            stacklevel=2,
        )
        return False
    for name in ("jetlab_attend", "jetlab_attend_back"):
        handler = jax.ffi.pycapsule(getattr(library, name))
        jax.ffi.register_ffi_target(name, handler, platform="cpu")
    return True


def _compiled() -> Path:
    """The kernel's library for this processor, compiler and jaxlib; built if missing.

    Raises:
      OSError, subprocess.CalledProcessError: where it cannot be compiled.
    """
    compiler = os.environ.get("CXX", "c++")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "jetlab" / f"ragged_attention-{_fingerprint(compiler)}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            built = Path(folder) / path.name
            include = f"-I{jax.ffi.include_dir()}"
            command = [*shlex.split(compiler), *FLAGS, include, str(SOURCE)]
            subprocess.run(
                [*command, "-o", str(built)], check=True, capture_output=True, text=True
            )
            built.replace(path)  # atomic: other processes may build it too
    return path


def _fingerprint(compiler: str) -> str:
    """A hash of everything that the compiled kernel depends on."""
    processor = Path("/proc/cpuinfo")
    text = processor.read_text() if processor.exists() else os.uname().machine
    prefixes = ("flags", "Features")  # on x86 and on ARM
    flags = sorted({line for line in text.splitlines() if line.startswith(prefixes)})
    facts = [SOURCE.read_text(), compiler, *FLAGS, version("jaxlib"), *flags]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
