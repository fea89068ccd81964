"""Kernel launches and memory traffic of programs compiled for a GPU.

Compiling for a GPU needs a Python with XLA's CUDA plugin (benchmarks/gpu_program.py
says how to make one): name it in JETLAB_CUDA_PYTHON, or run the tests with it.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from benchmarks.hlo import Cost, cost, size

ROOT = Path(__file__).parents[2]

# 50 iterations: a gather fused with an addition, a library call with a workspace, a
# copy, and a conditional that writes one row of 50 in place
LOOP = """\
HloModule jit_f, is_scheduled=true

%add (p0: f32[1000,8], p1: s32[4]) -> f32[4,8] {
  %p0 = f32[1000,8]{1,0} parameter(0)
  %p1 = s32[4]{0} parameter(1)
  %gather.1 = f32[4,8]{1,0} gather(%p0, %p1), slice_sizes={1,8}
  ROOT %add.1 = f32[4,8]{1,0} add(%gather.1, %gather.1)
}

%update (p0: f32[50,8], p1: f32[1,8], p2: s32[]) -> f32[50,8] {
  %p0 = f32[50,8]{1,0} parameter(0)
  %p1 = f32[1,8]{1,0} parameter(1)
  %p2 = s32[] parameter(2)
  %zero = s32[] constant(0)
  ROOT %update.1 = f32[50,8]{1,0} dynamic-update-slice(%p0, %p1, %p2, %zero)
}

%write (arg: (f32[50,8], f32[1,8], s32[])) -> f32[50,8] {
  %arg = (f32[50,8]{1,0}, f32[1,8]{1,0}, s32[]) parameter(0)
  %all = f32[50,8]{1,0} get-tuple-element(%arg), index=0
  %row = f32[1,8]{1,0} get-tuple-element(%arg), index=1
  %at = s32[] get-tuple-element(%arg), index=2
  ROOT %fusion.2 = f32[50,8]{1,0} fusion(%all, %row, %at), kind=kLoop, calls=%update
}

%keep (arg: f32[50,8]) -> f32[50,8] {
  ROOT %arg = f32[50,8]{1,0} parameter(0)
}

%body (arg: (s32[4], f32[1000,8], f32[50,8], pred[])) -> s32[4] {
  %arg = (s32[4]{0}, f32[1000,8]{1,0}, f32[50,8]{1,0}, pred[]) parameter(0)
  %rows = s32[4]{0} get-tuple-element(%arg), index=0
  %data = f32[1000,8]{1,0} get-tuple-element(%arg), index=1
  %out = f32[50,8]{1,0} get-tuple-element(%arg), index=2
  %live = pred[] get-tuple-element(%arg), index=3
  %fusion.1 = f32[4,8]{1,0} fusion(%data, %rows), kind=kLoop, calls=%add
  %dot = (f32[4,4]{1,0}, s8[4194304]{0}) custom-call(%fusion.1, %fusion.1)
  %if = f32[50,8] conditional(%live, %out), branch_computations={%keep, %write}
  ROOT %copy.1 = s32[4]{0} copy(%rows)
}

ENTRY %main (x: s32[4]) -> s32[4] {
  %x = s32[4]{0} parameter(0)
  ROOT %while.1 = s32[4] while(%x), body=%body, config={"known_trip_count":{"n":"50"}}
}
"""


def test_sizes_of_arrays_and_tuples():
    assert size("f32[2,3]{1,0}") == 24
    assert size("(bf16[8]{0}, pred[5]{0}, /*index=2*/f32[]) ") == 16 + 5 + 4
    assert size("token[]") == 0


def test_a_loop_counts_once_per_iteration():
    rows, jets, row = 4 * 4, 4 * 8 * 4, 8 * 4
    gather, dot, copy = rows + 2 * jets, jets + 4 * 4 * 4, 2 * rows
    update = row + 4 + row  # the row and its number are read, the row is written
    moved = 50 * (gather + dot + update + copy)
    assert cost(LOOP) == Cost(kernels=100, library=50, copies=50, waits=50, moved=moved)


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match=r"how often while\.1 runs"):
        cost(LOOP.replace("known_trip_count", "unknown"))


def with_cuda() -> str:
    """A Python that compiles for CUDA; skips the test where there is none."""
    if named := os.environ.get("JETLAB_CUDA_PYTHON"):
        return named
    if find_spec("jax_plugins") and any(
        find_spec(f"jax_plugins.xla_cuda{version}") for version in (12, 13)
    ):
        return sys.executable
    pytest.skip("no CUDA plugin here, and JETLAB_CUDA_PYTHON names no other Python")


def costs(expression: str) -> list[list[float]]:
    """(launches, bytes moved, temporary bytes) of cases, compiled by another Python."""
    script = f"""
        import json
        import jax
        import jax.numpy as jnp
        from benchmarks.gpu_program import Case, compiled, h200, step_case
        from jetlab.models.tagger import Tagger

        device = h200()
        programs = [compiled(case, device) for case in {expression}]
        numbers = [(p.cost.launches, p.cost.moved, p.temporary) for p in programs]
        print(json.dumps(numbers))
    """
    done = subprocess.run(
        [with_cuda(), "-c", dedent(script)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_elementwise_chain_is_one_kernel_that_reads_and_writes_once():
    chain = "jax.jit(lambda x: jnp.sin(x) * x + 1)"
    x = "jax.ShapeDtypeStruct((1024, 1024), jnp.float32)"
    assert costs(f"[Case('chain', 1, 1, {chain}, ({x},))]") == [[1, 2 * 4 * 1024**2, 0]]


@pytest.mark.slow
def test_replicas_share_launches_and_need_equal_memory_each():
    """64 replicas of a small tagger launch no more kernels than one, and each moves
    and needs as many bytes as one of four."""
    model = "Tagger(width=4, layers=2)"
    alone, four, many = costs(f"[step_case({model}, n) for n in (1, 4, 64)]")
    assert many[0] <= alone[0]
    assert many[1] / 64 <= 1.01 * four[1] / 4
    assert many[2] / 64 <= 1.01 * four[2] / 4
