"""Experiments' files and text tables."""

import pytest

from jetlab.laws.formatting import scientific, with_interval
from jetlab.runs.report import TextTable
from jetlab.runs.study import load_experiment


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no experiment at"),
        ("x = 1", "defines no study"),
        ("x = = 1", "cannot be loaded: SyntaxError"),
        ("import nowhere_to_be_found", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_file_that_is_not_an_experiment_is_named(tmp_path, content, words):
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=words):
        load_experiment(path)


def test_values_are_printed_as_the_paper_prints_them():
    assert with_interval(0.32, (0.294, 0.341)) == "0.320 (0.294, 0.341)"
    assert with_interval(482.006, None) == "482.01"
    assert with_interval(2085.4, (1042.0, 5810.0)) == "2085 (1042, 5810)"
    assert with_interval(2e54, (21.5, 3e57)) == "2.00e54 (22, 3.00e57)"
    assert scientific(1234567.0) == "1.23e6"
    assert scientific(1e18) == "1.00e18"


def test_a_table_is_rendered_for_every_reader():
    table = TextTable(["parameter", "value"], [["L_inf", "0.32"], ["alpha", "0.440"]])
    assert "| alpha" in table.markdown()
    assert "0.440" in table.markdown()  # digits are kept as written
    assert r"\toprule" in table.latex()
    assert r"L\_inf" in table.latex()
    assert "<td>0.32" in table.html()
