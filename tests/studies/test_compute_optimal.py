"""The main experiment: its grid on sources of every size, and its analysis of planted
losses."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from study_records import record

from jetlab.records import Rejection
from jetlab.runs.study import load_experiment
from jetlab.studies import compute_optimal
from jetlab.training.trajectory import trajectories_of

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "compute_optimal.py"


@dataclass(frozen=True)
class Shelf:
    """A source of which only the sizes matter."""

    size: int | None
    held_out: int | None
    classes: tuple[str, ...] = tuple("abcdefghij")
    identity: str = "shelf"

    def train(self, start, stop):
        raise NotImplementedError

    def valid(self, count):
        raise NotImplementedError


@pytest.fixture(scope="module")
def experiment():
    return load_experiment(EXPERIMENT)


@pytest.mark.parametrize("size", [None, 10**7, 100_000, 16_000, 8_192])
def test_no_point_stands_twice_and_none_asks_for_too_much(experiment, size):
    for name in experiment.SIZES:
        runs = experiment.study(name, Shelf(size, None)).runs
        assert len({run.id for run in runs}) == len(runs)
        assert size is None or max(run.num_train for run in runs) <= size


def test_evaluation_takes_a_fifth_of_a_grid_at_most(experiment):
    """An evaluation is a third of a training step for each of its jets."""
    for name in experiment.SIZES:
        runs = experiment.study(name, Shelf(None, None)).runs
        trained = sum(
            job.run.num_train for job in trajectories_of(runs, one_trajectory=True)
        )
        evaluated = sum(run.num_valid for run in runs) / 3
        assert evaluated < 0.2 * (trained + evaluated), name


def test_a_source_too_small_for_a_grid_is_refused(experiment):
    with pytest.raises(ValueError, match="has 3,000 training jets: a grid needs"):
        experiment.study("laptop", Shelf(3000, 1000))


@pytest.mark.parametrize(("held_out", "valid"), [(None, 19_000), (3_750, 3_750)])
def test_validation_is_as_many_as_there_are(experiment, held_out, valid):
    runs = experiment.study("laptop", Shelf(20_000, held_out)).runs
    assert {run.num_valid for run in runs} == {valid}


def test_validation_is_balanced_over_any_number_of_classes(experiment):
    names = tuple(f"class {i}" for i in range(188))
    runs = experiment.study("laptop", Shelf(10**6, 10**5, names)).runs
    assert all(run.num_valid % 188 == 0 for run in runs)
    assert all(run.model.classes == 188 for run in runs)


def test_a_class_without_validation_jets_is_refused(experiment):
    with pytest.raises(ValueError, match="holds out 0: at least 10 validation jets"):
        experiment.study("laptop", Shelf(20_000, 0))


def planted_records(inputs):
    """The law of arXiv:2602.15781, Table 1, with 0.2 % scatter, on the shower."""
    rng = np.random.default_rng(0)
    return [
        record(
            N, D, loss, inputs=inputs, source="shower-v1:seed=0", metrics=METRICS,
        )
        for N in (1_000, 10_000, 100_000, 1_000_000)
        for D in (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
        for loss in [(0.32 + 11.27 / N**0.44 + 7.22 / D**0.22)
                     * np.exp(0.002 * rng.normal())]
    ]  # fmt: skip


METRICS = {"rejections": (Rejection("Hbb", 0.5, 20.0, 19.0, 21.0),)}


@pytest.fixture(scope="module")
def found():
    return compute_optimal.analyse(planted_records("full-128"))


def test_the_analysis_has_the_figures_tables_and_files_of_the_paper(found):
    assert set(found.figures) == {
        "fig_1a_loss_surface", "fig_1b_iso_flops", "loss_against_data", "residuals"
    }  # fmt: skip
    assert list(found.tables) == [
        "Table 1: parameters of the law", "What a budget should buy",
        "The law by its rows",
    ]  # fmt: skip
    assert list(found.results) == ["fit", "fit_known_limit"]
    for text in found.results.values():
        law, rejections = json.loads(text), json.loads(text)["rejections"]
        assert law["params"]["alpha"] == pytest.approx(0.44, rel=0.05)
        assert set(rejections) == {"Hbb"}


def test_plans_reach_a_hundred_times_past_the_runs(found):
    """Runs that have learned go from 2.4e9 to 2.4e15 FLOPs: plans at half-decades from
    3.2e9 to 1e17."""
    rows = found.tables["What a budget should buy"].rows
    assert [row[0] for row in rows] == [
        f"{x}e{n}" for n in range(9, 18) for x in ("1.00", "3.16")
    ][1:17]  # fmt: skip
    for C, N, D in ([float(cell.split(" ")[0]) for cell in row[:3]] for row in rows):
        assert 6 * 40 * N * D == pytest.approx(C, rel=0.01)  # n_p = 40
    assert rows[4][-1] == "interpolation"
    assert rows[-1][-1].startswith("extrapolation: ")
    assert not any("indicative" in sentence for sentence in found.sentences)


def test_own_inputs_are_analysed_one_by_one_under_their_labels():
    few = [r for r in planted_records("angles") if r.N < 50_000]
    more = [replace(r, inputs="energies", id=f"e{r.id}") for r in few]
    found = compute_optimal.analyse([*more, *few])
    assert list(found.results) == ["fit_energies", "fit_angles"]
    assert "loss_against_data_angles" in found.figures
    table = found.tables["Table 1: parameters of the law, energies"]
    assert [row[0] for row in table.rows] == ["free"]
    assert found.sentences[0].startswith("energies: Validation")


def test_runs_that_guess_leave_no_law():
    guess = [replace(r, loss=2.3) for r in planted_records("full-10")]
    found = compute_optimal.analyse(guess)
    assert found.sentences[-1].startswith("No run has learned")
    assert not found.tables
    assert not found.figures
