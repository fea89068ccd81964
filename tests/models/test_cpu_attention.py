"""The CPU kernel computes attention: to rounding, and the same bits every time."""

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.models import cpu_attention

COUNTS = np.array(
    [9, 0, 128, 1, 7, 16, 0]
)  # below, at and above the eight lanes of a vector
ROWS = len(COUNTS) + COUNTS.sum() + 3  # three are padding
ROUNDING = 128 * 2**-24  # of a sum of 128 terms in float32


@pytest.fixture
def kernel():
    """Attention by the kernel, jitted; skips without a compiler."""
    if not cpu_attention.available():
        pytest.skip("no C++ compiler")
    return jax.jit(cpu_attention.attend, static_argnums=3)


def drawn(heads, width, *, alone=False, seed=0):
    """(queries, keys and values, gradient of the output) of random tokens."""
    rng = np.random.default_rng(seed)
    d, queries = heads * width, len(COUNTS) if alone else ROWS

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return normal(queries, d), normal(ROWS, 2 * d), normal(queries, d)


def tokens_of(jet, counts):
    first = len(counts) + counts[:jet].sum()
    return [jet, *range(first, first + counts[jet])]


def reference(query, key_value, grad, counts, heads):
    """Attention and its gradients from their definition, jet by jet in float64."""
    query, key_value, grad = (a.astype(np.float64) for a in (query, key_value, grad))
    d = query.shape[1]
    e = d // heads
    mixed, dq, dkv = np.zeros_like(query), np.zeros_like(query), 0 * key_value
    for jet in range(len(counts)):
        all_rows = tokens_of(jet, counts)
        queries = all_rows if len(query) == len(key_value) else [jet]
        for head in range(heads):
            at = slice(head * e, (head + 1) * e)
            after = slice(d + head * e, d + (head + 1) * e)
            q, g = query[queries, at], grad[queries, at]
            k, v = key_value[all_rows, at], key_value[all_rows, after]
            scores = q @ k.T / e**0.5
            p = np.exp(scores - scores.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            dp = g @ v.T
            ds = p * (dp - (p * dp).sum(1, keepdims=True)) / e**0.5
            mixed[queries, at] = p @ v
            dq[queries, at] = ds @ k
            dkv[all_rows, at], dkv[all_rows, after] = ds.T @ q, p.T @ g
    return mixed, dq, dkv


def with_gradients(kernel, query, key_value, grad, counts, heads):
    def attend(query, key_value):
        return kernel(query, key_value, jnp.asarray(counts), heads)

    mixed, back = jax.vjp(attend, jnp.asarray(query), jnp.asarray(key_value))
    return [np.asarray(a) for a in (mixed, *back(jnp.asarray(grad)))]


def relative(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("alone", [False, True], ids=["all tokens", "class tokens"])
@pytest.mark.parametrize("width", [1, 4, 12, 64])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_values_and_gradients_are_those_of_float64(kernel, heads, width, alone):
    arrays = drawn(heads, width, alone=alone)
    found = with_gradients(kernel, *arrays, COUNTS, heads)
    for got, wanted in zip(found, reference(*arrays, COUNTS, heads), strict=True):
        assert relative(got, wanted) < ROUNDING


def test_padding_rows_give_zeros_and_change_no_other_row(kernel):
    arrays = drawn(2, 4)
    clean = with_gradients(kernel, *arrays, COUNTS, 2)
    for array in arrays:
        array[-3:] = np.nan
    for got, before in zip(
        with_gradients(kernel, *arrays, COUNTS, 2), clean, strict=True
    ):
        np.testing.assert_array_equal(got, before)
        np.testing.assert_array_equal(got[-3:], 0.0)


# NaNs with different payload bits: none may become a number
NANS = np.array([0x7FC00000, 0xFFC00000, 0x7FC001FF, 0x7FC00123], np.uint32)


@pytest.mark.parametrize("column", [1, 5, 9], ids=["query", "key", "value"])
@pytest.mark.parametrize("nan", NANS.view(np.float32), ids=map(hex, NANS))
def test_a_nan_propagates_within_its_jet_only(kernel, nan, column):
    query, key_value, grad = drawn(1, 4)
    jet, token = tokens_of(0, COUNTS), tokens_of(0, COUNTS)[5]
    array = query if column < 4 else key_value
    array[token, column % 4 + 4 * (column > 7)] = nan
    mixed, dq, dkv = with_gradients(kernel, query, key_value, grad, COUNTS, 1)
    touched = [token] if column < 4 else jet
    assert np.isnan(mixed[touched, 1]).all()
    assert np.isnan(dq[touched]).any(axis=1).all()
    assert np.isnan(dkv[jet, :4]).any()
    rest = np.setdiff1d(np.arange(ROWS), jet)
    for array in (mixed, dq, dkv):
        assert np.isfinite(array[rest]).all()


def test_large_scores_are_exact(kernel):
    """Scores of +-1e4, exact in float32; the maximum often occurs several times."""
    rng = np.random.default_rng(1)
    query, key_value, grad = drawn(1, 4)
    query[:] = rng.choice([-50, 50], query.shape)
    key_value[:, :4] = rng.choice([-100, 100], (ROWS, 4))
    wanted = reference(query, key_value, grad, COUNTS, 1)
    found = with_gradients(kernel, query, key_value, grad, COUNTS, 1)
    assert relative(found[0], wanted[0]) < ROUNDING
    # the gradient uses ln(sum), which float32 rounds by 2^-11 at 1e4
    for got, right in zip(found[1:], wanted[1:], strict=True):
        assert relative(got, right) < 2**-11


def test_vmapped_calls_equal_single_calls(kernel):
    replicas = [drawn(2, 4, seed=seed) for seed in range(3)]
    counts = np.stack([np.roll(COUNTS, shift) for shift in range(3)])
    stacked = [jnp.stack(arrays) for arrays in zip(*replicas, strict=True)]

    def both(query, key_value, grad, counts):
        mixed, back = jax.vjp(lambda q, kv: kernel(q, kv, counts, 2), query, key_value)
        return mixed, *back(grad)

    query, key_value, grad = stacked
    together = jax.vmap(both)(query, key_value, grad, jnp.asarray(counts))
    for replica, arrays in enumerate(replicas):
        alone = with_gradients(kernel, *arrays, counts[replica], 2)
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[replica], b)


def test_bfloat16_is_computed_in_float32_and_rounded_once(kernel):
    query, key_value, _ = (jnp.asarray(a, jnp.bfloat16) for a in drawn(1, 4))
    mixed = kernel(query, key_value, COUNTS, 1)
    assert mixed.dtype == jnp.bfloat16
    query, key_value = query.astype(jnp.float32), key_value.astype(jnp.float32)
    exact = kernel(query, key_value, COUNTS, 1)
    np.testing.assert_array_equal(mixed, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    ("counts", "heads"), [(COUNTS + 1, 1), (COUNTS - 1, 1), (COUNTS, 3)]
)
def test_shapes_that_would_overflow_the_buffers_are_refused(kernel, counts, heads):
    query, key_value, _ = drawn(1, 4)
    with pytest.raises(
        jax.errors.JaxRuntimeError, match="rows must hold one class token"
    ):
        jax.block_until_ready(kernel(query, key_value, counts, heads))


def python(script, **variables):
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", dedent(script)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


HASHED = """
import hashlib
from pathlib import Path
import jax
import jax.numpy as jnp
from jetlab.models import cpu_attention

assert cpu_attention.available()
counts = jnp.arange(40) * 3 % 41
keys = jax.random.split(jax.random.key(0), 3)
rows = 40 + int(counts.sum())
q, kv, g = map(jax.random.normal, keys, [(rows, 24), (rows, 48), (rows, 24)])

@jax.jit
def both(q, kv):
    out, back = jax.vjp(lambda q, kv: cpu_attention.attend(q, kv, counts, 2), q, kv)
    return out, *back(g)

hashes = {
    hashlib.sha256(b"".join(map(bytes, both(q, kv)))).hexdigest() for _ in range(20)
}
threads = len(list(Path("/proc/self/task").iterdir()))
print(threads, *hashes)
"""


def test_bits_do_not_depend_on_the_call_or_on_the_number_of_threads(kernel):
    (one, *bits), (six, *same) = (
        python(HASHED, PJRT_NPROC=n, NPROC=n).stdout.split() for n in ("1", "6")
    )
    assert int(six) >= int(one) + 5
    assert bits == same
    assert len(bits) == 1


def test_without_a_compiler_training_uses_groups_and_warns_once(tmp_path):
    script = """
        import jax
        import numpy as np
        from flax import nnx
        from jetlab.models import cpu_attention
        from jetlab.models.tagger import Tagger
        from jetlab.training.scan import make_scan
        from jetlab.tasks.tagging import Tagging
        from jetlab.training.optimizer import Hyperparams
        from jetlab.training.batching import (
            choose_packing, gather_batch, schedule, with_offsets
        )
        from jetlab.training.step import make_engine

        assert not cpu_attention.available()
        counts = np.array([3, 1, 2])
        config = Tagger(width=4, layers=1)
        assert config.length_groups
        packing = choose_packing(counts, 2, 3, grouped=config.length_groups)
        x, y = np.ones((6, 21), np.float32), np.array([0, 1, 2])
        jets = jax.device_put(with_offsets(x, counts, y))
        planned = schedule(np.array([[0, 1], [1, 2]]), counts, packing, 2)
        engine = make_engine(config, Tagging().loss)
        scan = jax.jit(make_scan(engine, lambda *a: gather_batch(packing, *a)))
        begin = jax.jit(engine.init)(jax.random.key(0), Hyperparams())
        state, losses = scan(begin, jets, planned.steps)
        assert int(state.step) == 2
        assert np.isfinite(losses).all()
    """
    finished = python(script, CXX="/nonexistent/c++", XDG_CACHE_HOME=str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("the CPU attention kernel cannot be compiled") == 1
    assert "/nonexistent/c++" in finished.stderr
    assert "install a C++ compiler" in finished.stderr


def test_concurrent_compilations_both_succeed(kernel, tmp_path, monkeypatch):
    """With a compiler that is slow and copies the compiled library."""
    slow = tmp_path / "slow c++"
    slow.write_text(
        '#!/bin/sh\necho >> "$0".calls\nfor last; do :; done\n'
        f'head -c 100 "{cpu_attention._compiled()}" > "$last"; sleep 0.5\n'
        f'cp "{cpu_attention._compiled()}" "$last"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", f"'{slow}'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def load(_):
        return ctypes.CDLL(str(cpu_attention._compiled())).jetlab_attend

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(load, range(2)))
    assert len((tmp_path / "slow c++.calls").read_text()) == 2
    (kept,) = (tmp_path / "cache" / "jetlab").iterdir()
    assert kept == cpu_attention._compiled()
