"""What a GPU would run in a training step: launches, memory traffic and memory.

    python -m benchmarks.gpu_program --quick

Compiles for an NVIDIA H200 ahead of time. No GPU is needed, only XLA's CUDA plugin and
NVIDIA's assembler, best in an environment of their own (215 MiB more to download):

    pip install -e . jax-cuda12-plugin==JAX jax-cuda12-pjrt==JAX nvidia-cuda-nvcc-cu12

with JAX the installed version of jax. On a real H200 the compiler tries which kernels
are fastest for matrix products; here they all go to cuBLAS.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.hlo import Cost, cost
from jetlab.models import scaling
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import DeviceJets, Packing, choose_packing, gather_batch
from jetlab.training.optimizer import Hyperparams
from jetlab.training.scan import SCAN_LENGTH, MicroBatches, make_scan
from jetlab.training.step import Engine, TrainState, make_engine

BATCH, PARTICLES, POOL = 128, 128, 16_384  # jets a step, and on the device

# What the compiler asks of a device, an H200 SXM here, as a GpuTargetConfigProto;
# numbers of NVIDIA's data sheet and OpenXLA's gpu/target_config/specs/h200.txtpb
H200 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H200"
runtime_version { major: 12 minor: 8 }
dnn_version_info { major: 9 minor: 10 }
gpu_device_info {
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  memory_bandwidth: 4800000000000  device_memory_size: 151397597184
  l2_cache_size: 52428800
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  threads_per_warp: 32  threads_per_block_limit: 1024  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
}
"""

# without a device to try them on, Triton's kernels are untuned, or fail to compile
OPTIONS = {"xla_gpu_enable_triton_gemm": False}


class Case(NamedTuple):
    """A jitted function, the shapes of its arguments, and how much training it does."""

    name: str
    steps: int
    lanes: int
    function: Any
    arguments: tuple[Any, ...]


class Program(NamedTuple):
    """What a case became."""

    cost: Cost  # of one call
    temporary: int  # bytes at the peak, besides arguments and results
    seconds: float  # of compilation


def step_case(model: Tagger, lanes: int) -> Case:
    """A step of one run, or of several at once, on batches gathered on the device."""
    engine, packing = make_engine(model, Tagging().loss), _packing()

    def step(state: TrainState, jets: DeviceJets, entry: MicroBatches) -> TrainState:
        return engine.step(state, gather_batch(packing, jets, entry))[0]

    each = jax.jit(jax.vmap(step, in_axes=(0, None, 0)), donate_argnums=0)
    arguments = _state(engine, lanes), _jets(model), _steps(lanes)
    return Case("step", 1, lanes, each, arguments)


def chunk_case(model: Tagger) -> Case:
    """A chunk of passes of one run; under `vmap` idle ones are selected away, as they
    are on an accelerator."""
    engine = make_engine(model, Tagging().loss)
    chunk = jax.vmap(
        make_scan(engine, partial(gather_batch, _packing())), in_axes=(0, None, 0)
    )
    arguments = _state(engine, 1), _jets(model), _steps(1, SCAN_LENGTH)
    return Case("chunk", SCAN_LENGTH, 1, jax.jit(chunk, donate_argnums=0), arguments)


def _packing() -> Packing:
    """Of jets with a mean of 39 particles, spread as JetClass's are."""
    rng = np.random.default_rng(0)
    counts = np.clip(rng.gamma(7.0, 5.6, POOL), 1, PARTICLES).astype(np.int32)
    return choose_packing(counts, BATCH, PARTICLES, grouped=True)


def _state(engine: Engine, lanes: int) -> Any:
    one = jax.eval_shape(lambda: engine.init(jax.random.key(0), Hyperparams()))
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((lanes, *a.shape), a.dtype), one)


def _jets(model: Tagger) -> DeviceJets:
    def empty() -> DeviceJets:
        whole = jnp.zeros(POOL, jnp.int32)
        return DeviceJets(
            jnp.zeros((40 * POOL, model.features), jnp.float16), whole, whole, whole
        )

    return jax.eval_shape(empty)


def _steps(*shape: int) -> MicroBatches:
    number = jax.ShapeDtypeStruct(shape, jnp.int32)
    rows = jax.ShapeDtypeStruct((*shape, BATCH), jnp.int32)
    return MicroBatches(rows, number, number)  # type: ignore[arg-type]


def h200() -> jax.sharding.Sharding:
    """An H200 that need not be there.

    Raises:
      RuntimeError: without XLA's CUDA plugin.
    """
    # the cache can write programs of absent devices, but not read them back
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        topology = topologies.get_topology_desc(
            platform="cuda", target_config=H200, topology="1x1x1"
        )
    except RuntimeError as error:
        raise RuntimeError(
            "this Python cannot compile for CUDA: install jax-cuda12-plugin and "
            f"jax-cuda12-pjrt {jax.__version__} and nvidia-cuda-nvcc-cu12 with it"
        ) from error
    return jax.sharding.SingleDeviceSharding(topology.devices[0])


def compiled(case: Case, device: jax.sharding.Sharding) -> Program:
    """What a device would run, read from the optimised program."""
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device),
        case.arguments,
    )
    lowered = case.function.lower(*abstract)
    begin = time.perf_counter()
    program = lowered.compile(OPTIONS)
    seconds = time.perf_counter() - begin
    memory = program.memory_analysis()
    return Program(cost(program.as_text()), memory.temp_size_in_bytes, seconds)


def row(width: int, case: Case, program: Program) -> tuple[Any, ...]:
    """A line of the table: launches of one step of all lanes, bytes of one lane."""

    def per_step(count: int) -> str:
        return f"{count / case.steps:.1f}".removesuffix(".0")

    of = program.cost
    launches = map(per_step, (of.launches, of.library, of.copies, of.waits))
    moved = of.moved / case.steps / case.lanes / 1e6
    memory = program.temporary / case.lanes / 1e6
    numbers = (f"{moved:.1f}", f"{memory:.1f}", f"{program.seconds:.0f}")
    return (width, case.name, case.lanes, *launches, *numbers)


def cases(model: Tagger, lanes: tuple[int, ...]) -> Iterator[Case]:
    yield chunk_case(model)
    yield from (step_case(model, number) for number in lanes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one width, fewer lanes")
    quick = parser.parse_args().quick
    widths, lanes = ((4,), (1, 16)) if quick else ((4, 16, 64, 128), (1, 16, 64))
    device = h200()
    todo = [(width, c) for width in widths for c in cases(scaling.tagger(width), lanes)]
    rows = [row(width, c, compiled(c, device)) for width, c in tqdm(todo)]
    per_step = ["launches", "of a library", "copies", "host waits"]
    numbers = ["MB a lane-step", "temporary MB a lane", "compiled in s"]
    print(tabulate(rows, ["d", "program", "lanes", *per_step, *numbers]))


if __name__ == "__main__":
    main()
