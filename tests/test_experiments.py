"""Every experiment, whole: what it would train at each size, and one run of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from jetlab.cli.main import main
from jetlab.data.features import FEATURES, Inputs
from jetlab.data.shower.source import Shower
from jetlab.runs.study import load_experiment
from jetlab.studies import closure
from jetlab.types import CLASSES, Jets

FOLDER = Path(__file__).parents[1] / "experiments"
FIGURES = {  # at smoke size, where few laws are determined
    "compute_optimal": {"loss_against_data", "residuals"},
    "repetition": {
        "fig_2ab_loss_against_compute", "fig_3_overfitting", "validation_curves"
    },
    "inputs": set(),
    "physics": {"fig_5_rejection", "fig_6a_roc", "fig_6b_rejection_by_inputs"},
    "learning_rate": {"fig_learning_rate_loss"},
    "known_limit": {"fig_closure"},
}  # fmt: skip


class Small:
    """A source with few jets, as somebody's first conversion has; nobody reads them."""

    identity = "small"
    classes = CLASSES
    held_out: int | None = 2_000

    def __init__(self, size: int):
        self.size: int | None = size

    def train(self, start: int, stop: int) -> Jets:
        raise NotImplementedError

    def valid(self, count: int) -> Jets:
        raise NotImplementedError


def experiments():
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def sizes():
    return [
        (name, size)
        for name in experiments()
        for size in load_experiment(FOLDER / f"{name}.py").SIZES
    ]


def test_every_experiment_is_here():
    assert experiments() == sorted(FIGURES)


@pytest.mark.parametrize(("name", "size"), sizes())
@pytest.mark.parametrize("source", [Shower(), Small(20_000), Small(8_192)])
def test_no_run_is_planned_twice_or_past_its_jets(name, size, source):
    """A run may stand under two arms; those of one arm differ."""
    runs = load_experiment(FOLDER / f"{name}.py").study(size, source).runs
    assert len({(run.id, run.arm) for run in runs}) == len(runs)
    assert max(run.pool for run in runs) <= (source.size or max(r.pool for r in runs))
    assert max(run.num_valid for run in runs) <= (source.held_out or 5_000_000)
    assert min([run.epochs for run in runs if run.patience], default=2) > 1


@pytest.mark.parametrize("name", FIGURES)
def test_own_inputs_go_through_every_study(name):
    """In the order that they are given, in every arm."""
    own = Inputs(particles=5, features=FEATURES[:2], label="angles")
    size = load_experiment(FOLDER / f"{name}.py").SIZES["smoke"]
    runs = replace(size, inputs=(own, "full-10")).runs(Shower())
    labels = list(dict.fromkeys(run.input_config.label for run in runs))
    assert labels == ["angles", "full-10"]
    arms = [
        sorted(run.arm for run in runs if run.input_config.label == label)
        for label in labels
    ]
    assert arms[0] == arms[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_the_smoke_size_leaves_a_report_with_its_figures(name, tmp_path, monkeypatch):
    monkeypatch.setattr(closure, "TOYS", 10)
    path = FOLDER / f"{name}.py"
    assert main(["run", str(path), "--size", "smoke", "--out", str(tmp_path)]) == 0
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert FIGURES[name] <= drawn
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") + page.count("<svg") >= len(drawn)
    assert "nan" not in (tmp_path / "tables.md").read_text().lower().split()
