"""Identities of specs, records as JSON, and tables of records."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from jetlab.identity import identity
from jetlab.records import Record, Rejection, Table


@dataclass(frozen=True)
class Inner:
    width: int
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    inner: Inner
    name: str
    sizes: tuple[int, ...] = ()


def test_identity_is_a_function_of_the_content():
    one = Outer(Inner(4), "a")
    assert identity(one) == identity(Outer(Inner(4, rate=0.5), "a", sizes=()))
    others = [Outer(Inner(5), "a"), Outer(Inner(4), "b"), Outer(Inner(4), "a", (1,))]
    assert len({identity(spec) for spec in [one, *others]}) == 4


def test_a_new_field_with_a_default_keeps_old_identities():
    fields = [("width", int), ("rate", float, dataclasses.field(default=0.5))]
    grown = dataclasses.make_dataclass(
        "Inner", [*fields, ("new", int, dataclasses.field(default=3))], frozen=True
    )
    assert identity(grown(4)) == identity(Inner(4))
    assert identity(grown(4, new=2)) != identity(Inner(4))


def test_identity_depends_on_the_name_of_the_class():
    other = dataclasses.make_dataclass("Other", [("width", int)], frozen=True)
    assert identity(other(4)) != identity(Inner(4))


def test_a_value_without_canonical_form_is_refused():
    with pytest.raises(TypeError, match="ndarray"):
        identity(Outer(Inner(4), np.ones(3)))  # type: ignore[arg-type]


def test_identities_are_pinned():
    """A changed canonical form would orphan finished runs."""
    assert identity(Outer(Inner(4), "a", (1, 2))) == "173f6b7ffd51"


def test_a_class_keeps_its_identities_under_a_new_name():
    @dataclass(frozen=True)
    class Renamed:
        identity_name: ClassVar[str] = "Inner"
        width: int
        rate: float = 0.5

    assert identity(Renamed(4)) == identity(Inner(4))
    assert identity(Renamed(4, 0.1)) == identity(Inner(4, 0.1))


def test_a_field_keeps_its_identity_under_a_new_name():
    @dataclass(frozen=True)
    class Renamed:
        identity_name: ClassVar[str] = "Inner"
        size: int = dataclasses.field(metadata={"identity": "width"})
        rate: float = 0.5

    assert identity(Renamed(4)) == identity(Inner(4))


def test_a_label_is_no_part_of_the_identity():
    @dataclass(frozen=True)
    class Labelled:
        identity_name: ClassVar[str] = "Inner"
        width: int
        label: str = dataclasses.field(default="", metadata={"identity": None})

    assert (
        identity(Labelled(4, "a")) == identity(Labelled(4, "b")) == identity(Inner(4))
    )


def test_the_value_that_specs_had_before_a_field_is_omitted():
    """`was` is a canonical value: here that of `Inner(1)`, though it is no default."""

    @dataclass(frozen=True)
    class Grown:
        identity_name: ClassVar[str] = "Inner"
        width: int
        inner: Inner = dataclasses.field(
            metadata={"was": {"class": "Inner", "width": 1}}
        )

    assert identity(Grown(4, Inner(1))) == identity(Inner(4))
    assert identity(Grown(4, Inner(2))) != identity(Inner(4))


FIELDS: dict[str, Any] = dict(
    id="a", status="done", study="s", source="x", inputs="full-40", width=4, N=638,
    D=512, epochs=2, C=1e9, n_p=30.5, seed=1, batch=128, learning_rate=1e-3,
    weight_decay=0.01, seconds=1.5, device="cpu", version="0.1",
)  # fmt: skip


def record(**fields) -> Record:
    defaults = {"num_valid": 100, "loss": 2.0, "loss_error": 0.1}
    return Record(**(FIELDS | defaults | fields))


def test_a_record_is_read_back_as_it_was_written():
    rejections = (
        Rejection("Hbb", 0.5, 12.5, 11.0, 14.0),
        Rejection("Tbl", 1, 3, 3, None),
    )
    written = record(
        arm="tuned",
        metrics={"accuracy": 0.5, "rejections": rejections},
        curve=((50, 2.25), (100, 2.0)),
        valid_curve=((100, 2.1),),
        weights={"final": "f.msgpack"},
    )
    found = Record.from_json(written.to_json())
    assert found == written
    assert found.rejections == rejections
    assert found.rejections[1].high is None


OLD = FIELDS | {
    "classes": 5,
    "loss": 1.25,
    "loss_error": 0.02,
    "accuracy": 0.5,
    "auc": 0.8,
    "rejections": [["Hbb", 0.5, 12.5, 11.0, 14.0], ["Tbl", 0.995, 3.0, 3.0, None]],
    "valid": 100,
    "curve": [[50, 2.25]],
    "valid_curve": [],
    "steps": 8,
    "trajectory": "",
    "cut": 1,
    "precision": "float32",
    "patience": 0,
    "message": "",
}
"""A line of the version with a field for each metric."""


def test_a_record_of_an_old_version_is_read():
    found = Record.from_json(json.dumps(OLD))
    rejections = (
        Rejection("Hbb", 0.5, 12.5, 11.0, 14.0),
        Rejection("Tbl", 0.995, 3.0, 3.0, None),
    )
    assert found == record(
        chance_loss=math.log(5),
        loss=1.25,
        loss_error=0.02,
        metrics={"accuracy": 0.5, "auc": 0.8, "rejections": rejections},
        curve=((50, 2.25),),
        steps=8,
        cut=1,
    )
    assert (found.task, found.arm, found.weights) == ("tagging", "", {})
    assert Record.from_json(found.to_json()) == found


def test_a_diverged_record_of_an_old_version_is_read():
    empty = {"loss": None, "loss_error": None, "accuracy": None, "auc": None}
    line = json.dumps(OLD | empty | {"status": "diverged", "rejections": []})
    found = Record.from_json(line)
    assert (found.status, found.loss, found.metrics) == ("diverged", None, {})
    assert found.rejections == ()


def test_records_of_ten_classes_did_not_always_say_so():
    found = Record.from_json(
        json.dumps({k: v for k, v in OLD.items() if k != "classes"})
    )
    assert found.chance_loss == math.log(10)


@pytest.mark.parametrize(
    "line", ["rubbish", "{}", "[]", json.dumps(OLD | {"unknown": 1})]
)
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        Record.from_json(line)


@pytest.fixture
def table() -> Table:
    return Table(
        arm=["a", "b", "a", "b", "a"],
        width=[4, 4, 8, 8, 8],
        D=[100, 100, 100, 200, 200],
        L=[2.0, 1.5, 1.0, 1.0, 1.25],
        chance_loss=[2.0] * 5,
    )


def test_a_table_has_the_finished_records():
    runs = [
        record(id="a", loss=2.0, steps=3, metrics={"auc": 0.75, "name": "x"}),
        record(id="b", status="diverged", loss=None),
        record(id="c", loss=1.5, loss_error=None, arm="tuned", metrics={"own": 2}),
    ]
    found = Table.of_records(runs)
    assert found.rows == 2
    assert found["id"].tolist() == ["a", "c"]
    assert found["arm"].tolist() == ["", "tuned"]
    assert found["L"].tolist() == [2.0, 1.5]
    assert found["seen"].tolist() == [3 * 128, 0]
    assert found["C"].tolist() == [1e9, 1e9]
    np.testing.assert_array_equal(found["loss_error"], [0.1, np.nan])
    np.testing.assert_array_equal(found["auc"], [0.75, np.nan])
    np.testing.assert_array_equal(found["own"], [np.nan, 2.0])
    assert "name" not in found


def test_where_takes_a_value_several_and_a_function(table):
    assert table.where(arm="a")["L"].tolist() == [2.0, 1.0, 1.25]
    assert table.where(width=4)["L"].tolist() == [2.0, 1.5]
    assert table.where(D=(100, 300), width=[4, 8])["L"].tolist() == [2.0, 1.5, 1.0]
    assert table.where(arm=("b", "c"))["L"].tolist() == [1.5, 1.0]
    assert table.where(L=lambda loss: loss < 1.25)["width"].tolist() == [8, 8]
    assert table.where(arm="a", width=8, D=200)["L"].tolist() == [1.25]
    assert table.where().rows == 5
    assert table.where(arm="c").rows == 0
    assert set(table.where(arm="c")) == set(table)


def test_best_is_the_row_of_the_lowest_loss(table):
    best = table.best()
    # two rows share the minimum: the first
    assert (best.rows, best["arm"][0], best["D"][0]) == (1, "a", 100)


def test_best_of_groups_keeps_the_order_of_rows(table):
    assert table.best("arm")["L"].tolist() == [1.0, 1.0]
    assert table.best("arm")["width"].tolist() == [8, 8]
    assert table.best(by=("width", "arm"))["L"].tolist() == [2.0, 1.5, 1.0, 1.0]
    reversed_rows = table.take([4, 3, 2, 1, 0])
    assert reversed_rows.best("D")["D"].tolist() == [200, 100]


def test_cells_are_rows_that_agree(table):
    cells = table.cells(("width", "D"))
    assert cells.shape == (5,)
    assert cells[0] == cells[1]
    assert len({*cells.tolist()}) == 3
    assert table.cells(("arm",)).tolist() == [0, 1, 0, 1, 0]
    named = Table(N=[1, 1, 2], D=[5, 5, 5])
    assert named.cells().tolist() == [0, 0, 1]


def test_learned_requires_a_loss_below_the_margin():
    losses = [1.89, 1.8999, 1.9, 1.9001, 2.5]
    found = Table(L=losses, chance_loss=[2.0] * 5)
    assert found.learned()["L"].tolist() == [1.89, 1.8999]
    assert found.unlearned()["L"].tolist() == [1.9, 1.9001, 2.5]


def test_an_empty_table_stays_empty():
    empty = Table.of_records([])
    assert empty.rows == Table().rows == 0
    assert empty.learned().rows == empty.unlearned().rows == 0
    assert empty.where(arm="a", D=lambda D: D > 1).rows == 0
    assert empty.take([]).rows == 0
    assert empty.cells().shape == (0,)
    with pytest.raises(ValueError, match="no rows"):
        empty.best()


def test_columns_can_be_added_and_replaced(table):
    more = table | {"seed": np.arange(5), "L": np.ones(5)}
    assert more["seed"].tolist() == list(range(5))
    assert set(more["L"]) == {1.0}
    assert table["L"][0] == 2.0


def test_invalid_columns_are_refused(table):
    with pytest.raises(ValueError, match="differ in length"):
        Table(a=[1, 2], b=[1])
    with pytest.raises(ValueError, match="differ in length"):
        _ = table | {"seed": np.arange(3)}
    for wrong in (
        lambda: table.where(seed=1),
        lambda: table.best("seed"),
        lambda: table.cells(("seed",)),
        lambda: Table(a=[1]).best(),
        lambda: Table(L=[1.0]).learned(),
    ):
        with pytest.raises(ValueError, match="no column"):
            wrong()


def test_a_metric_that_is_not_a_number_loses_no_record():
    """It is None in the file and NaN in a table."""
    run = record(metrics={"bias": np.nan, "by_class": (1.0, np.inf), "auc": 0.5})
    read = Record.from_json(run.to_json())
    assert read.metrics == {"bias": None, "by_class": [1.0, None], "auc": 0.5}
    table = Table.of_records([record(metrics={"bias": 1.0}), read])
    np.testing.assert_equal(table["bias"], [1.0, np.nan])
