"""Production of a Pythia campaign: its jobs on workers, then a store or ROOT files."""

import importlib.metadata
import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jetlab.data.jetclass import reader
from jetlab.data.jetclass.convert import convert, to_root
from jetlab.data.pythia.campaign import VERSION, Campaign, ProductionJob
from jetlab.runs.dispatch import check, map_tasks, take_shard
from jetlab.runs.resumable_output import ResumableOutput

logger = logging.getLogger(__name__)


def cost_estimate(campaign: Campaign) -> str:
    """Estimated cost of a campaign, in one line."""
    hours = sum(job.cost for job in campaign.jobs) / 3600
    return (
        f"{campaign.jets} jets of {len(campaign.classes)} classes in "
        f"{len(campaign.jobs)} jobs: about {hours:.2g} core-hours"
    )


def produce(
    campaign: Campaign,
    out: Path,
    *,
    form: str = "store",
    on: str = "local",
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
) -> dict[str, Any] | None:
    """Simulate a campaign into a store or ROOT files. The jets do not depend on `on`.

    Files of finished jobs are kept in `OUT.pieces` until `out` is written; the same
    call resumes from them.

    Args:
      campaign: jets, classes and seed.
      out: the store, or the folder of ROOT files.
      form: "store" or "root".
      on: "local", "processes", "dask://HOST:PORT", "slurm" or "htcondor".
      workers: number of workers, where `on` starts them.
      shard: (i, n) runs every n-th job only. A call without it, once all shards have
        ended, runs what is missing and writes `out`.

    Returns:
      The contents of the store (see `describe`) or files (see `to_root`); None for a
      shard.

    Raises:
      ValueError: if `out` exists, Pythia or FastJet is not installed, or finished jobs
        are damaged or of another campaign.
      Unfinished: if jobs failed repeatedly (see `dispatch`).
    """
    check(on, workers)
    origin = _origin(campaign)
    output = ResumableOutput(out, origin)
    missing = [
        job
        for job in take_shard(campaign.jobs, shard)
        if not output.path(job.file).exists()
    ]
    _run_jobs(missing, output.folder, on, workers)
    if shard is not None:
        return None
    files = [_checked_file(output.path(job.file), job) for job in campaign.jobs]
    if form == "root":
        content = to_root(files, out)
    else:
        content = convert(files, out, seed=campaign.seed, origin=origin)
    output.remove()
    return content


def run_job(job: ProductionJob, folder: Path) -> dict[str, float]:
    """The task of a worker: CPU seconds by stage of the job written to `folder`."""
    from jetlab.data.pythia import simulation_chain  # clients may lack Pythia

    return simulation_chain.run_job(job, folder / job.file)


def _origin(campaign: Campaign) -> dict[str, Any]:
    """Provenance of the jets, independent of their number and classes."""
    versions = {}
    for package in ("pythia8mc", "fastjet"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise ValueError(
                f"{package} is not installed: pip install 'jetlab[pythia]'"
            ) from error
    return {
        "simulator": f"pythia-{versions['pythia8mc']}-{VERSION}",
        "fastjet": versions["fastjet"],
        "seed": campaign.seed,
    }


def _run_jobs(
    jobs: Sequence[ProductionJob], folder: Path, on: str, workers: int | None
) -> None:
    finished = map_tasks(
        partial(run_job, folder=folder),
        jobs,
        on=on,
        workers=workers,
        describe=lambda job: f"{job.name} {job.number}",
        size=lambda job: job.jets,
        unit="jets",
        label="simulating",
    )
    seconds: dict[str, float] = {}
    for _, seconds_of_job in finished:
        for stage, value in seconds_of_job.items():
            seconds[stage] = seconds.get(stage, 0) + value
    if jobs:
        logger.info(_throughput(seconds, sum(job.jets for job in jobs)))


def _throughput(seconds: dict[str, float], jets: int) -> str:
    """Rate per core, and the fraction of the CPU time by stage."""
    total = sum(seconds.values())
    stages = ", ".join(f"{name} {s / total:.1%}" for name, s in seconds.items())
    return f"{jets / total:.1f} jets per core-second ({stages})"


def _checked_file(path: Path, job: ProductionJob) -> Path:
    """Raises ValueError unless the file is readable and has all jets of its job."""
    (file,) = reader.survey([path], skip_bad=False, skipped=Counter())
    if file.entries != job.jets:
        raise ValueError(
            f"{path}: {file.entries} of {job.jets} jets; delete it and run the same "
            "command again"
        )
    return path
