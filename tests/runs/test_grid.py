"""Grids: every combination once, within what a source has, and their cost."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from jetlab.data.features import Inputs
from jetlab.data.shower.source import Shower
from jetlab.models import scaling
from jetlab.models.tagger import Tagger
from jetlab.runs import cost
from jetlab.runs.grid import PAPER_RATE, Size, grid
from jetlab.runs.sizes import balanced, clip_sizes, log_spaced
from jetlab.training.run_config import cost as flops_of


@dataclass(frozen=True)
class Shelf:
    """A source of which only the sizes matter."""

    size: int | None = None
    held_out: int | None = None
    classes: tuple[str, ...] = tuple("abcdefghij")
    identity: str = "shelf"

    def train(self, start, stop):
        raise NotImplementedError

    def valid(self, count):
        raise NotImplementedError


def test_a_grid_has_every_combination_once():
    runs = grid(
        Shelf(),
        inputs=("full-10", "full-40"),
        width=(4, 8),
        num_train=(256, 512),
        seed=range(3),
    )
    points = {(r.inputs, r.model.width, r.num_train, r.seed) for r in runs}
    assert len(runs) == len(points) == 24
    assert {run.pool for run in runs} == {512}
    assert {run.num_valid for run in runs} == {20_000}
    assert {run.learning_rate for run in runs} == {
        scaling.learning_rate(4, 4),  # steps of the longest run
        scaling.learning_rate(8, 4),
    }


def test_single_values_are_axes_of_one_point():
    own = Inputs(particles=7, features=("part_pt_log", "part_deta"))
    (run,) = grid(Shelf(), inputs=own, width=4, num_train=256, learning_rate=PAPER_RATE)
    assert run.model == Tagger(width=4, features=2)
    assert run.input_config == own
    assert run.learning_rate == 1e-4


def test_slices_and_sums_are_grids_on_the_same_jets():
    one = grid(Shelf(), inputs="full-10", width=(4, 8), num_train=256, arm="one")
    other = grid(Shelf(), inputs="full-10", width=4, num_train=256, arm="other")
    both = one[:1] + other
    assert [run.arm for run in both] == ["one", "other"]
    assert both[0].id == both[1].id  # an arm decides no number
    elsewhere = replace(other, source=Shelf(identity="elsewhere"))
    with pytest.raises(ValueError, match="different jets"):
        _ = one + elsewhere


def test_two_input_configurations_of_one_label_are_refused():
    first, second = (
        Inputs(particles=n, features=("part_deta",), label="a") for n in (7, 8)
    )
    axes: dict[str, Any] = dict(width=4, num_train=256)
    with pytest.raises(ValueError, match="have the label 'a'"):
        grid(Shelf(), inputs=(first, second), **axes)
    with pytest.raises(ValueError, match="have the label 'a'"):
        _ = grid(Shelf(), inputs=first, **axes) + grid(Shelf(), inputs=second, **axes)
    size = Size(inputs=(first, second), widths=(4,), num_train=(8192,), num_valid=100)
    with pytest.raises(ValueError, match="have the label 'a'"):
        size.runs(Shelf())


def test_no_validation_jets_are_not_the_default():
    with pytest.raises(ValueError, match="num_valid is 0: at least 10 validation jets"):
        grid(Shelf(), inputs="full-10", width=4, num_train=256, num_valid=0)


def test_learning_rates_are_an_axis():
    runs = grid(
        Shelf(), inputs="full-10", width=8, num_train=256, learning_rate=(None, 0.5)
    )
    assert [run.learning_rate for run in runs] == [scaling.learning_rate(8, 2), 0.5]


def test_the_pool_is_the_largest_training_set_or_as_given():
    axes: dict[str, Any] = dict(inputs="full-10", width=4, num_train=(256, 512))
    assert {run.pool for run in grid(Shelf(), **axes, pool=1024)} == {1024}
    assert {run.pool for run in grid(Shelf(size=512), **axes)} == {512}
    with pytest.raises(ValueError, match=r"513 and the source has 512"):
        grid(Shelf(size=512), **axes, pool=513)


def test_a_grid_is_shown_without_measuring_its_cost(monkeypatch):
    monkeypatch.setattr(cost, "_peak", lambda: 1 / 0)
    runs = grid(Shelf(), inputs="full-10", width=(4, 8), num_train=256)
    assert repr(runs) == "Grid(2 runs on shelf)"


def test_more_jets_than_the_source_has_are_refused():
    with pytest.raises(ValueError, match=r"num_train is 1,024 .* has 1,000"):
        grid(Shelf(size=1000), inputs="full-10", width=4, num_train=(512, 1024))


@pytest.mark.parametrize(
    ("asked", "held_out", "count"),
    [(19_999, None, 19_990), (100, None, 100), (5_000, 3_753, 3_750)],
)
def test_validation_jets_are_balanced_by_class(asked, held_out, count):
    assert balanced(asked, Shelf(held_out=held_out)) == count


def test_nine_validation_jets_of_a_class_are_too_few():
    with pytest.raises(
        ValueError,
        match=r"num_valid is 5,000 and the source holds out 99: at least 10 .* 100 in",
    ):
        balanced(5_000, Shelf(held_out=99))


def test_sizes_are_whole_batches_at_equal_ratios():
    assert log_spaced(1024, 16384, 5) == [1024, 2048, 4096, 8192, 16384]
    sizes = log_spaced(1e3, 1e8, 11)
    assert all(size % 128 == 0 for size in sizes)
    assert sizes[0] == 1024
    assert sizes[-1] == pytest.approx(1e8, rel=1e-5)
    assert log_spaced(100, 100, 1, multiple=64) == [128]  # 1.56 batches


def test_sizes_are_clipped_to_the_source_and_not_below_32_batches():
    sizes = [1024, 16_384, 262_144]
    assert clip_sizes(sizes, None) == clip_sizes(sizes, 262_144) == sizes
    assert clip_sizes(sizes, 262_143)[-1] == 262_016  # whole batches
    assert clip_sizes(sizes, 20_000)[0] == 32 * 128
    assert clip_sizes(sizes, 64 * 128)[-1] == 64 * 128
    with pytest.raises(ValueError, match="needs at least 8,192"):
        clip_sizes(sizes, 64 * 128 - 1)


def test_a_size_spans_single_passes_and_repeated_data_sets():
    size = Size(
        inputs=("full-10",),
        widths=(4, 8),
        num_train=(8192, 16_384),
        repeated=(1024, 32_768),  # the second is larger than the largest single pass
        repeated_widths=(8,),
        seen=10_000,
        num_valid=1000,
    )
    runs = size.runs(Shelf())
    single = [run for run in runs if run.arm == "single"]
    (repeated,) = [run for run in runs if run.arm == "repeated"]
    assert len(runs) == 5
    assert {(r.epochs, r.patience) for r in single} == {(1, 0)}
    assert (repeated.model.width, repeated.epochs, repeated.patience) == (8, 9, 12)
    assert {run.pool for run in runs} == {16_384}


def test_a_data_set_is_repeated_at_least_twice():
    size = Size(
        inputs=("full-10",), widths=(4,), repeated=(8192,), seen=100, num_valid=100
    )
    (run,) = size.runs(Shelf())
    assert (run.epochs, run.pool) == (2, 8192)


def test_a_row_of_one_trajectory_costs_its_largest():
    runs = grid(Shelf(), inputs="full-40", width=8, num_train=(256, 512, 1024))
    longest = flops_of(runs[2], 40)
    assert cost.total_flops(runs, one_trajectory=True) == longest
    apart = cost.total_flops(runs, one_trajectory=False)
    assert apart == pytest.approx(longest * (1 + 1 / 2 + 1 / 4))
    assert longest == 6 * 40 * (48 * 64 + 87 * 8 + 10) * 1024


def test_ten_particles_count_as_ten_and_128_as_the_nominal_40():
    runs = grid(Shelf(), inputs=("full-10", "full-128"), width=8, num_train=256)
    flops = [cost.total_flops([run], one_trajectory=True) for run in runs]
    assert flops == [flops_of(runs[0], 10), flops_of(runs[1], 40)]


def test_the_cost_names_runs_flops_and_time(monkeypatch):
    monkeypatch.setattr(cost, "_peak", lambda: 1e11)
    runs = grid(Shower(), inputs="full-40", width=(8, 16, 32), num_train=2**17)
    found = runs.cost()
    assert found.runs == 3
    assert found.flops == pytest.approx(sum(flops_of(run, 40) for run in runs))
    # shares of the peak, linear in log d: 0.06 (4), 0.27 (16), 0.6 (64)
    shares = (0.06 + 0.21 / 2, 0.27, 0.27 + 0.33 / 2)
    flops = [flops_of(run, 40) for run in runs]
    training = sum(f / (1e11 * s) for f, s in zip(flops, shares, strict=True))
    assert found.seconds == pytest.approx(training + 3 * 9 / cost.at_once())
    assert str(found).startswith("3 runs, ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(89, "89 s"), (91, "2 min"), (5399, "90 min"), (5401, "1.5 h")],
)
def test_durations_read_as_people_say_them(seconds, words):
    found = cost.Cost(runs=1, flops=1e12, seconds=seconds)
    assert str(found).endswith(f"about {words} on this machine")


def test_speed_grows_with_width_up_to_the_table(monkeypatch):
    shares = [cost._efficiency(width) for width in (2, 4, 16, 64, 128, 512)]
    assert shares == sorted(shares)
    assert shares[0] == shares[1] == 0.06
    assert np.isclose(shares[-1], 0.7)
