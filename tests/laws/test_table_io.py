"""Tables from CSV files, good and bad, and what looks wrong in them."""

from typing import Any

import numpy as np
import pytest

from jetlab.laws.table_io import log_columns, read_csv, remarks, usable
from jetlab.records import Table

COLUMNS: dict[str, Any] = {"N": "Model Size", "L": "loss"}


@pytest.fixture
def write(tmp_path):
    def save(text):
        path = tmp_path / "table.csv"
        path.write_text(text)
        return path

    return save


def test_columns_come_under_the_names_asked_for(write):
    path = write('loss,name,Model Size\n2.5,"a,b",1e6\n2.25,c,10000000\n')
    table = read_csv(path, **COLUMNS)
    assert isinstance(table, Table)
    np.testing.assert_array_equal(table["N"], [1e6, 1e7])
    np.testing.assert_array_equal(table["L"], [2.5, 2.25])


def test_one_column_may_serve_twice(write):
    table = read_csv(write("x\n2\n"), N="x", D="x")
    assert table["N"] == table["D"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Model Size,Loss\n1,2\n", "no column 'loss'; it has Model Size, Loss"),
        ("Model Size,loss\n1,2\n3,high\n", "column 'loss', line 3: 'high'"),
        ("Model Size,loss\n", "no rows"),
        ("", "not a table"),
        ("Model Size,loss\n1,2\n1,2,3\n", "not a table"),
    ],
)
def test_bad_files_are_named_with_the_place(write, text, words):
    with pytest.raises(ValueError, match=words):
        read_csv(write(text), **COLUMNS)


def test_an_empty_cell_is_a_run_to_leave_out(write):
    table = read_csv(write("Model Size,loss\n1,2\n3,\n4,5\n"), **COLUMNS)
    kept, reasons = usable(table, ("N", "L"))
    assert reasons == {1: "L is nan"}
    np.testing.assert_array_equal(kept["N"], [1, 4])
    with pytest.raises(ValueError, match="no column D"):
        usable(table, ("N", "D"))
    with pytest.raises(ValueError, match="differ in length"):
        usable({**table, "N": np.ones(2)}, ("N", "L"))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_value_without_a_logarithm_is_named(bad):
    table = {"N": np.array([1.0, 2.0, 3.0]), "L": np.array([1.0, 2.0, bad])}
    with pytest.raises(ValueError, match=r"column L, row 2 \(from 0\)"):
        log_columns(table, ("N", "L"))


def test_columns_must_be_there_and_equally_long():
    table = {"N": np.ones(3), "L": np.ones(2)}
    with pytest.raises(ValueError, match="no column D"):
        log_columns(table, ("N", "D", "L"))
    with pytest.raises(ValueError, match="column L has shape"):
        log_columns(table, ("N", "L"))
    with pytest.raises(ValueError, match="no rows"):
        log_columns({"N": np.ones(0)}, ("N",))


@pytest.mark.parametrize("mark", [";", "\t"])
def test_cells_may_be_separated_otherwise_and_names_padded(write, mark):
    text = f"loss {mark}\tModel Size\n" if mark == ";" else "loss\tModel Size \n"
    table = read_csv(write(text + f"2.5{mark}1e6\n"), **COLUMNS)
    assert (table["L"].item(), table["N"].item()) == (2.5, 1e6)


def test_two_columns_of_one_name_are_refused(write):
    with pytest.raises(ValueError, match="has 2 columns 'loss'; it has loss, loss"):
        read_csv(write("loss,loss,Model Size\n1,2,3\n"), **COLUMNS)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no table .*runs\.csv"):
        read_csv(tmp_path / "runs.csv", **COLUMNS)


def test_a_column_is_text_where_a_cell_is_no_number(write):
    path = write("n,arm,seed,note\n1,tuned,0,\n2,,1,\n3,none,nan,n/a\n")
    table = read_csv(path, N="n", arm="arm", seed="seed", note="note")
    assert table["arm"].tolist() == ["tuned", "", "none"]
    np.testing.assert_array_equal(table["seed"], [0, 1, np.nan])
    assert np.isnan(table["note"]).all()
    assert table.where(arm="tuned")["N"].tolist() == [1]
    with pytest.raises(ValueError, match="column 'arm', line 2: 'tuned' is not a num"):
        read_csv(path, L="arm")


def test_examples_follow_from_compute(write):
    path = write("N,C,D\n1e6,6e12,1\n1e7,2.4e15,2\n")
    one = read_csv(path, N="N", C="C", particles=1.0)
    assert one["D"] == pytest.approx([1e6, 4e7])
    assert read_csv(path, N="N", C="C")["D"] == pytest.approx([2.5e4, 1e6])
    assert read_csv(path, N="N", C="C", D="D")["D"].tolist() == [1, 2]
    assert "D" not in read_csv(path, C="C")


@pytest.mark.parametrize("particles", [0.0, np.nan, np.inf])
def test_particles_are_positive_and_finite(tmp_path, particles):
    path = tmp_path / "runs.csv"
    path.write_text("N,D,L\n1,2,3\n")
    with pytest.raises(ValueError, match=f"particles is {particles:g}; it must be"):
        read_csv(path, N="N", D="D", L="L", particles=particles)


def test_an_orderly_table_gets_no_remark(wide):
    assert remarks(wide) == []


def test_copies_scores_and_odd_units_are_remarked_on(wide):
    doubled = {name: np.append(column, column[:3]) for name, column in wide.items()}
    assert "3 rows are copies" in remarks(doubled)[0]
    assert "N is below 1 on 15 rows" in remarks(wide | {"N": wide["N"] / 1e6})[0]
    score = wide | {"L": 2 - wide["L"] / 5}
    assert "L rises with N and with D" in remarks(score)[0]
    assert remarks(score, falls=False) == []


def test_rounding_is_remarked_on_from_a_fifth_of_a_percent(wide):
    """A step of 0.01 is 0.2 % of a lowest loss of 5."""
    losses = np.linspace(1, 3, 25).round(2)
    for lowest, words in ((4.9, "L is rounded to 0.01, 0.2 %"), (5.1, "")):
        table = wide | {"L": losses[::-1] + lowest - 1}
        found = remarks(table, falls=False)
        assert len(found) == bool(words)
        assert all(words in sentence for sentence in found)
