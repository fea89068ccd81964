"""Everything to be measured on a GPU, in order of worth, within a few minutes.

    python -m benchmarks.on_gpu --minutes 8 --out runs/on_gpu

Prints one JSON object for each part as it ends, with the device's name:

- `correctness`: gradients of a packed batch against those of the padded batch on the
  CPU, at JAX's default precision and at the highest; the loss of a short run here and
  on the CPU;
- `replicas`: vmapped replicas against a Python loop over the jitted step, by width;
- `roofline`: achieved FLOP/s and bytes/s over the device's ceilings, d = 512 in
  bfloat16 first, then small widths;
- `memory`: bytes of a scan against the number of replicas;
- `grid`: the `gpu` size of experiments/compute_optimal.py as far as the time allows.
  The folder resumes: `jetlab run experiments/compute_optimal.py --size gpu --out OUT`
  goes on with it.

Each part is a process of its own with a share of the time: one that crashes or takes
too long costs only itself. Needs neither jaxopt, grain, uproot, awkward nor lz4.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.baselines import padded_batches, shower_jets
from benchmarks.ceilings import bytes_of_sweep, flops_of_product, product, sweep
from benchmarks.engine import (
    RATES,
    chosen_lanes,
    engine_contender,
    entries_of,
    loop_contender,
    packing_of,
    planned,
)
from benchmarks.roofline import step_flops
from benchmarks.timing import race
from jetlab.data.shower.source import Shower
from jetlab.models import scaling
from jetlab.runs.api import train
from jetlab.runs.compilation_cache import enable_compilation_cache
from jetlab.runs.grid import Grid as RunGrid
from jetlab.runs.grid import Size, log_spaced
from jetlab.runs.ledger import Ledger
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import gather_batch, with_offsets
from jetlab.training.mesh import make_mesh
from jetlab.training.replicas import Replicas
from jetlab.training.run_config import PRECISIONS
from jetlab.training.scan import MicroBatches
from jetlab.training.step import make_engine

SHARES = {
    "correctness": 0.15,
    "replicas": 0.25,
    "roofline": 0.2,
    "memory": 0.1,
    "grid": 0.3,
}
"""Parts in order of worth, and their shares of the time."""

GPU = Size(
    inputs=("full-128",),
    widths=(4, 8, 16, 32, 64, 128),
    num_train=log_spaced(2**12, 2**20, 9),
    seeds=2,
    num_valid=75_000,
)
"""The `gpu` size of experiments/compute_optimal.py, which needs jaxopt to be loaded."""

SMALL = Size(inputs=("full-10",), widths=(4,), num_train=(2**12, 2**13), num_valid=1000)
"""A grid for machines without a GPU."""

Part = Callable[[float, Path, dict[str, Any]], None]
TASK = Tagging()


def on_gpu() -> bool:
    return jax.default_backend() != "cpu"


def correctness(deadline: float, out: Path, found: dict[str, Any]) -> None:
    """The engine's gradients against the padded model on the CPU, and a short run."""
    for width in (16, 128) if on_gpu() else (4,):
        found[f"gradient_{width}"] = gradient_errors(width)
    here = found["loss_here"] = short_run()
    there = found["loss_cpu"] = loss_on_cpu(deadline) if on_gpu() else here
    found["relative"] = None if there is None else abs(here / there - 1)


def gradient_errors(width: int) -> dict[str, float]:
    """Largest difference of a gradient over its largest entry, by precision."""
    jets, model = shower_jets(1), replace(scaling.tagger(width), dropout=0.0)
    (padded,) = padded_batches(jets)
    with jax.default_device(jax.devices("cpu")[0]):
        reference = jax.device_get(padded_gradient(model, padded))
    packing = packing_of(jets)
    engine = make_engine(model, TASK.loss)
    entries = entries_of(planned(jets, packing, 1))
    store = jax.device_put(with_offsets(*jets))
    errors = {}
    for precision in ("default", "highest"):
        with jax.default_matmul_precision(precision):
            state = jax.jit(engine.init)(jax.random.key(0), RATES)
            batch = gather_batch(packing, store, entries[0])
            grads = jax.device_get(jax.jit(engine.gradient)(state, batch)[1])
        errors[precision] = largest_difference(grads, reference)
    return errors


def padded_gradient(model: Any, jets: Any) -> Any:
    """The gradient of the mean cross-entropy of padded jets, same first weights."""
    engine = make_engine(model, padded_loss)
    with jax.default_matmul_precision("highest"):
        state = jax.jit(engine.init)(jax.random.key(0), RATES)
        return jax.jit(engine.gradient)(state, jax.device_put(jets))[1]


def padded_loss(model: Any, jets: Any, rngs: Any) -> Any:
    return jnp.mean(TASK.losses(model(jets.x, jets.mask), jets.y))


def largest_difference(one: Any, other: Any) -> float:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    differences = [(np.abs(a - b).max(), np.abs(b).max()) for a, b in pairs]
    return float(max(d for d, _ in differences) / max(size for _, size in differences))


def short_run() -> float:
    """The validation loss of a run of 64 steps on this process's device."""
    from jetlab.training.dataset import open_dataset
    from jetlab.training.trainer import Trainer

    size = replace(SMALL, num_train=(2**13,))
    (run,) = size.runs(Shower())
    (record,) = Trainer([run], open_dataset(Shower(), run), "short")
    return record.loss or np.nan


def loss_on_cpu(deadline: float) -> float | None:
    """The same run in a process that sees no GPU; None where the time is up."""
    script = "from benchmarks import on_gpu; print(on_gpu.short_run())"
    try:
        said = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            timeout=max(1.0, deadline - time.monotonic()),
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return None
    return float(said.stdout.split()[-1])


def replicas(deadline: float, out: Path, found: dict[str, Any]) -> None:
    """Time of a step of one run, over that of a Python loop, by width and replicas."""
    jets = shower_jets(16)
    packing = packing_of(jets)
    counts = (1, 4, 16, 64, 256) if on_gpu() else (1,)
    for width in (4, 16, 64, 128) if on_gpu() else (4,):
        model, racing = scaling.tagger(width), {}
        racing["loop"] = loop_contender(model, jets, packing)
        for count in counts:
            if time.monotonic() > deadline:
                return
            made = engine_contender(model, jets, packing, lanes=count)
            racing[str(count)] = made
        times = race(racing, 3, 0.2)
        loop = times.pop("loop").fair
        key = str(width)
        found[key] = {
            name: round(loop / taken.fair, 3) for name, taken in times.items()
        }
        found[key]["loop_us"] = round(1e6 * loop, 1)
        found[key]["chosen"] = chosen_lanes(width, packing)


def roofline(deadline: float, out: Path, found: dict[str, Any]) -> None:
    """FLOP/s of training steps over that of a large product, and the ceilings."""
    jets = shower_jets(16)
    packing = packing_of(jets)
    points = [(512, "bfloat16"), (512, "float32"), (128, "bfloat16"), (64, "float32")]
    points = (
        [*points, (16, "float32"), (4, "float32")] if on_gpu() else [(4, "float32")]
    )
    kinds = dict.fromkeys(precision for _, precision in points)
    ceilings = {kind: product(PRECISIONS[kind]) for kind in kinds}
    times = race({**ceilings, "sweep": sweep()}, 3, 0.2)
    most = {kind: flops_of_product() / times[kind].fair for kind in kinds}
    found["product_tflops"] = {k: round(v / 1e12, 2) for k, v in most.items()}
    found["memory_gb_s"] = round(bytes_of_sweep() / times["sweep"].fair / 1e9, 1)
    for width, precision in points:
        if time.monotonic() > deadline:
            break
        count = chosen_lanes(width, packing)
        compute = PRECISIONS[precision]
        model = scaling.tagger(width)
        made = engine_contender(model, jets, packing, lanes=count, compute=compute)
        step = race({"engine": made}, 3, 0.3)["engine"].fair
        achieved = step_flops(width, jets) / step
        found[f"{width} {precision}"] = {
            "replicas": count,
            "tflops": round(achieved / 1e12, 4),
            "of_product": round(achieved / most[precision], 4),
        }


def memory(deadline: float, out: Path, found: dict[str, Any]) -> None:
    """Bytes of a compiled scan by width and number of replicas."""
    jets = shower_jets(16)
    packing = packing_of(jets)
    work = planned(jets, packing, 4)
    store = jax.device_put(with_offsets(*jets))
    for width in (16, 128) if on_gpu() else (4,):
        engine = make_engine(scaling.tagger(width), TASK.loss)
        for count in (1, 16, 64, 256) if on_gpu() else (1, 2):
            if time.monotonic() > deadline:
                return
            gather = partial(gather_batch, packing)
            made = Replicas(engine, gather, make_mesh(1, 1), count, stops=False)
            steps = MicroBatches(*(np.stack([c] * count) for c in work.steps))
            program = made._programs.scan.lower(made.state.train, store, steps)
            used = program.compile().memory_analysis()
            found[f"{width} x {count}"] = {
                "state_mb": round(nbytes(made.state) / 2**20, 2),
                "temporary_mb": round(used.temp_size_in_bytes / 2**20, 2),
            }


def nbytes(tree: Any) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "nbytes")]
    return sum(leaf.nbytes for leaf in leaves)


def grid(deadline: float, out: Path, found: dict[str, Any]) -> None:
    """The grid as far as the time allows: the parent interrupts it."""
    source = Shower()
    size = GPU if on_gpu() else SMALL
    try:
        train(RunGrid(source, size.runs(source)), out / "grid")
    finally:
        found |= grid_so_far(out)


def grid_so_far(out: Path) -> dict[str, Any]:
    """Finished runs of the grid, their FLOPs by 6 n_p N D, and seconds by width."""
    records = list(Ledger(out / "grid").records().values())
    done = [record for record in records if record.status == "done"]
    trained = [record for record in done if not record.trajectory]
    seconds: dict[int, float] = {}
    for record in trained:
        seconds[record.width] = seconds.get(record.width, 0.0) + record.seconds
    return {
        "runs": len(done),
        "flops": sum(record.C for record in trained),
        "seconds_by_width": {d: round(s, 1) for d, s in sorted(seconds.items())},
        "lowest_loss": min((record.loss or np.inf for record in done), default=None),
    }


PARTS: dict[str, Part] = {
    "correctness": correctness,
    "replicas": replicas,
    "roofline": roofline,
    "memory": memory,
    "grid": grid,
}


def run_part(name: str, seconds: float, out: Path) -> dict[str, Any]:
    """A part in a process of its own, interrupted when its time is up."""
    command = [sys.executable, "-m", "benchmarks.on_gpu", "--part", name]
    command += ["--seconds", f"{seconds:.0f}", "--out", str(out)]
    begin = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            said, errors = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            said, errors = process.communicate()
    result = {"part": name, "seconds": round(time.monotonic() - begin, 1)}
    lines = said.strip().splitlines()
    if lines and lines[-1].startswith("{"):
        return result | json.loads(lines[-1])
    return result | {"error": " ".join(errors.split())[-600:] or "no time"}


def main(argv: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=8.0, help="for all parts")
    options.add_argument("--out", type=Path, default=Path("runs/on_gpu"))
    options.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    args = options.parse_args(argv)
    if args.part:
        enable_compilation_cache(args.out / "programs")
        deadline = time.monotonic() + 0.9 * args.seconds
        found: dict[str, Any] = {"device": jax.devices()[0].device_kind}
        try:
            PARTS[args.part](deadline, args.out, found)
        except KeyboardInterrupt:
            found["interrupted"] = True
        print(json.dumps(found))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    for name, share in SHARES.items():
        print(
            json.dumps(run_part(name, 60 * args.minutes * share, args.out)), flush=True
        )


if __name__ == "__main__":
    main()
