"""Documents follow the code: the API page, and the Python scripts of the README."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

import jetlab as jl

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    "test_from_a_table_to_simulating_or_repeating": 0,
    "test_from_jets_to_a_plan_and_a_tagger": 1,
}
"""The number of the README's Python block by the test that runs it."""


def test_the_api_page_is_up_to_date():
    page = runpy.run_path(str(ROOT / "docs" / "make_api.py"))["page"]()
    assert (ROOT / "docs" / "api.md").read_text() == page, "python docs/make_api.py"


def blocks() -> list[str]:
    """The Python blocks of the README."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def calls(tree: ast.AST) -> Iterator[tuple[str, set[str | None]]]:
    """Name and keywords of each call of a function or method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg for keyword in node.keywords}
            yield ast.unparse(node.func).rpartition(".")[2], keywords


def test_every_script_of_the_readme_has_a_test():
    assert len(blocks()) == len(SCRIPTS)


@pytest.mark.parametrize(("name", "number"), SCRIPTS.items())
def test_the_test_of_a_script_makes_its_calls(name, number):
    """Functions and keywords; the test's smaller data may need more keywords."""
    script = list(calls(ast.parse(blocks()[number])))
    front_door = ast.parse((ROOT / "tests" / "test_front_door.py").read_text())
    (test,) = [
        node
        for node in front_door.body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    tested = list(calls(test))
    assert len(script) >= 4
    for called, keywords in script:
        assert called == "print" or any(
            called == other and keywords <= more for other, more in tested
        ), f"{called} with {keywords} is not tested"


def test_public_names_in_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\bjl\.(\w+)", text))
    assert named
    assert named <= set(jl.__all__)
