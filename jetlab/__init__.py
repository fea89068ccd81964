"""jetlab: scaling laws of networks trained on particle jets.

    import jetlab as jl

    jets = jl.Store("jets/mine")
    sizes = jl.log_spaced(1e4, 1e6, 6)
    runs = jl.grid(jets, inputs="full-40", width=(8, 16, 32), num_train=sizes)
    table = jl.train(runs, out="runs/mine")
    law = jl.fit("additive", table.learned(), bootstrap=1000)
    print(law, jl.allocate(law, flops=1e18))

The names below are the public ones; each is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from jetlab.data.features import FEATURES as FEATURES
    from jetlab.data.features import Inputs as Inputs
    from jetlab.data.jetclass.convert import convert as convert
    from jetlab.data.shower.source import Shower as Shower
    from jetlab.data.store import Store as Store
    from jetlab.data.taught import Taught as Taught
    from jetlab.laws.fit import fit as fit
    from jetlab.laws.plans.allocation import allocate as allocate
    from jetlab.laws.plans.simulate_or_repeat import (
        simulate_or_repeat as simulate_or_repeat,
    )
    from jetlab.laws.result import FitResult as FitResult
    from jetlab.laws.tables.csv_tables import read_csv as read_csv
    from jetlab.models.tagger import Tagger as Tagger
    from jetlab.models.token_layout import flat_layout as flat_layout
    from jetlab.records import Record as Record
    from jetlab.records import Table as Table
    from jetlab.runs.api import read_runs as read_runs
    from jetlab.runs.api import train as train
    from jetlab.runs.grid import Grid as Grid
    from jetlab.runs.grid import grid as grid
    from jetlab.runs.sizes import log_spaced as log_spaced
    from jetlab.runs.sources import open_source as open_source
    from jetlab.runs.trained_model import TrainedModel as TrainedModel
    from jetlab.runs.trained_model import load_model as load_model
    from jetlab.tasks.tagging import Tagging as Tagging
    from jetlab.training.run_config import RunConfig as RunConfig
    from jetlab.types import Batch as Batch
    from jetlab.types import Jets as Jets
    from jetlab.types import ModelConfig as ModelConfig
    from jetlab.types import Source as Source
    from jetlab.types import Task as Task

_NAMES = {
    # jets
    "FEATURES": "data.features",
    "Inputs": "data.features",
    "Jets": "types",
    "Shower": "data.shower.source",
    "Source": "types",
    "Store": "data.store",
    "Taught": "data.taught",
    "convert": "data.jetclass.convert",
    "open_source": "runs.sources",
    # tasks and models
    "Batch": "types",
    "ModelConfig": "types",
    "Tagger": "models.tagger",
    "Tagging": "tasks.tagging",
    "Task": "types",
    "flat_layout": "models.token_layout",
    # runs
    "Grid": "runs.grid",
    "Record": "records",
    "RunConfig": "training.run_config",
    "Table": "records",
    "TrainedModel": "runs.trained_model",
    "grid": "runs.grid",
    "load_model": "runs.trained_model",
    "log_spaced": "runs.sizes",
    "read_runs": "runs.api",
    "train": "runs.api",
    # laws
    "FitResult": "laws.result",
    "allocate": "laws.plans.allocation",
    "fit": "laws.fit",
    "read_csv": "laws.tables.csv_tables",
    "simulate_or_repeat": "laws.plans.simulate_or_repeat",
}
"""Public names, and the module of the package that defines each."""

__all__ = sorted(_NAMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'jetlab' has no attribute {name!r}")
    module = import_module(f"jetlab.{_NAMES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
