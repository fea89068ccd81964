"""One width, two sizes: a study of seconds. It was run by commit e0d5424, too."""

from dataclasses import dataclass

from jetlab.data.features import Inputs
from jetlab.models.tagger import Tagger
from jetlab.runs.report import Findings
from jetlab.runs.study import Study
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig


@dataclass(frozen=True)
class Size:
    num_train: tuple[int, ...]
    inputs: tuple[str | Inputs, ...] = ("full-10",)


SIZES = {"smoke": Size((64, 128)), "one": Size((64,))}


def study(size, source):
    runs = tuple(
        RunConfig(
            source=source.identity,
            task=Tagging(),
            inputs=inputs,
            model=Tagger(width=4, layers=1),
            pool=128,
            num_train=num_train,
            num_valid=200,
            batch=64,
        )
        for inputs in SIZES[size].inputs
        for num_train in SIZES[size].num_train
    )
    return Study(name="tiny", runs=runs, analyse=analyse)


def analyse(records):
    return Findings(sentences=[f"{len(records)} records"])
