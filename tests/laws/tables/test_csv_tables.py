"""Tables as people keep them: every dialect gives the same numbers, or one clear
error."""

import numpy as np
import pytest

from jetlab.laws.tables.csv_tables import read_csv, write_csv
from jetlab.records import Table

DIALECTS = {
    "plain": "N,D,L\n1000,20000,1.813\n1500000,40000,1.5\n",
    "comments": "# runs of May\n# N params, D jets\nN,D,L\n1000,20000,1.813\n"
    "# again\n1500000,40000,1.5\n\n",
    "numpy": "# N,D,L\n1e3,2e4,1.813\n1.5e6,4e4,1.5\n",
    "blanks": "N D   L\n1000 20000 1.813\n  1500000 40000\t1.5\n",
    "numpy and blanks": "# N D L\n1000 20000 1.813\n1500000 40000 1.5\n",
    "suffixes": "N,D,L\n1k,0.02M,1.813\n1.5 M,40K,1.5\n",
    "thousands": 'N,D,L\n"1,000","20,000",1.813\n"1,500,000","40,000",1.5\n',
    "decimal commas": "N;D;L\n1000;20000;1,813\n1500000;40000;1,5\n",
    "thousands by semicolons": "N;D;L\n1,000;20,000;1.813\n1,500,000;40,000;1.5\n",
    "tabs": "N\tD\tL\n1000\t20000\t1.813\n1500000\t40000\t1.5\n",
    "carriage returns": "N,D,L\r\n1000,20000,1.813\r\n1500000,40000,1.5\r\n",
}


@pytest.fixture
def write(tmp_path):
    def save(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return save


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_dialect_has_the_same_numbers(write, text, encoding):
    table = read_csv(write(text, encoding))
    assert list(table) == ["N", "D", "L"]
    np.testing.assert_array_equal(table["N"], [1000, 1.5e6])
    np.testing.assert_array_equal(table["D"], [20000, 40000])
    np.testing.assert_array_equal(table["L"], [1.813, 1.5])


def test_columns_that_are_not_named_stay(write):
    path = write('loss,name,Model Size\n2.5,"a,b",1e6\n2.25,c,10000000\n')
    table = read_csv(path, N="Model Size", L="loss")
    assert isinstance(table, Table)
    assert list(table) == ["N", "L", "name"]
    np.testing.assert_array_equal(table["N"], [1e6, 1e7])
    assert table["name"].tolist() == ["a,b", "c"]


def test_one_column_may_serve_twice(write):
    table = read_csv(write("x\n2\n"), N="x", D="x")
    assert table["N"] == table["D"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Model Size,Loss\n1,2\n", "no column 'loss'; it has Model Size, Loss"),
        ("# a\nModel Size,loss\n1,2\n\n3,high\n", "column 'loss', line 5: 'high'"),
        ("Model Size,loss\n", "a header and no rows"),
        ("", "not a table: it has no header"),
        ("# only a comment\n", "not a table: it has no header"),
        ("Model Size,loss\n1,2\n1,2,3\n", "line 3 has 3 cells, the header 2"),
        ("loss,loss,Model Size\n1,2,3\n", "has 2 columns 'loss'; it has loss, loss"),
        ("Model Size;loss\n1;1,813\n2;1,564\n", "'1,813' may be a decimal comma or"),
        ("Model_Size|loss\n1|2\n", "separate cells by commas"),
    ],
)
def test_bad_files_are_named_with_the_place(write, text, words):
    with pytest.raises(ValueError, match=words):
        read_csv(write(text), N="Model Size", L="loss")


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"N,L\n\xff\xfe\xfa,1\n")
    with pytest.raises(ValueError, match="neither in UTF-8 nor in UTF-16"):
        read_csv(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no table .*runs\.csv"):
        read_csv(tmp_path / "runs.csv")


def test_missing_cells_are_nan_and_other_text_stays(write):
    path = write("n,arm,seed,note\n1,tuned,0,\n2,,1,\n3,none,nan,n/a\n")
    table = read_csv(path, N="n")
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
    assert read_csv(path)["D"].tolist() == [1, 2]
    assert read_csv(write("N,C\n1e6,6e12\n"))["D"] == pytest.approx([2.5e4])
    assert read_csv(write("D,C\n2.5e4,6e12\n"))["N"] == pytest.approx([1e6])


@pytest.mark.parametrize("particles", [0.0, np.nan, np.inf])
def test_particles_are_positive_and_finite(write, particles):
    with pytest.raises(ValueError, match=f"particles is {particles:g}; it must be"):
        read_csv(write("N,D,L\n1,2,3\n"), particles=particles)


def test_a_table_written_is_read_back(tmp_path):
    table = Table(N=np.array([1e3, 1 / 3]), arm=np.array(["a,b", 'c "d"']))
    path = tmp_path / "table.csv"
    path.write_text(write_csv(table))
    back = read_csv(path)
    np.testing.assert_array_equal(back["N"], table["N"])
    assert back["arm"].tolist() == table["arm"].tolist()
