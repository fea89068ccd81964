"""The page of a study: verdict first, nothing from elsewhere, readable on a phone."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from jetlab.runs.report import Findings, TextTable, render_html

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def figure() -> Figure:
    drawn = Figure(figsize=(5, 4))
    drawn.add_subplot().plot([1, 2], [2, 1])
    return drawn


def findings() -> Findings:
    cells = [["0.806 (0.779, 0.813)", "a < b", '1,126 "small"']] * 3
    wide = TextTable([f"column {i}" for i in range(30)], [["123,456,789"] * 30])
    return Findings(
        sentences=["the rows scatter by 0.9 %"],
        known=["L_inf = 0.806 (0.779, 0.813)"],
        unknown=["alpha [0.9 (0.1, 3)]: too few rows"],
        advice=["add rows"],
        tables={"Parameters": TextTable(["L_inf", "b", "c"], cells), "Wide": wide},
        figures={"first_one": figure(), "second": figure()},
        captions={"first_one": "Loss against jets."},
    )


@pytest.fixture(scope="module")
def page() -> str:
    return render_html("Title", findings(), {"jets": "taught"}, state="3 of 4 runs")


def places(page: str, *texts: str) -> list[int]:
    return [page.index(text) for text in texts]


def test_the_first_screen_is_known_unknown_next_and_the_first_figure(page):
    order = places(
        page, "3 of 4 runs", "L_inf = 0.806", "too few rows", "add rows",
        'alt="first_one"', "<details", 'alt="second"', "Parameters",
        "the rows scatter",
    )  # fmt: skip
    assert order == sorted(order)
    assert page.count('alt="first_one"') == 1


def test_captions_say_what_a_figure_shows(page):
    assert "<figcaption>Loss against jets.</figcaption>" in page
    assert "<figcaption>second</figcaption>" in page  # without one: its name


def test_tables_copy_as_csv_and_latex(page):
    texts = [
        html.unescape(found)
        for found in re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)
    ]
    lines = texts[0].splitlines()
    assert lines[0] == "L_inf,b,c"
    assert lines[1] == '"0.806 (0.779, 0.813)",a < b,"1,126 ""small"""'
    assert texts[1].startswith("\\begin{tabular}")


def test_it_needs_no_other_file_and_reloads_only_while_a_study_runs(page):
    assert "http" not in page
    assert 'http-equiv="refresh"' not in page
    running = render_html("Title", findings(), {}, running=True)
    assert 'http-equiv="refresh" content="10"' in running


def test_findings_without_a_verdict_show_their_sentences_first():
    page = render_html("Title", Findings(sentences=["two records"]), {})
    assert page.index("two records") < page.index("<details")
    assert page.count("two records") == 1


def test_figures_are_saved_in_three_formats(tmp_path):
    findings().save(tmp_path)
    assert {path.suffix for path in tmp_path.glob("first_one.*")} == {
        ".png", ".svg", ".pdf"
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_overflows_in_a_browser(page, width, tmp_path):
    """Only tables scroll; what a browser measures in a frame of this width."""
    measure = (
        "const d = document.querySelector('iframe').contentDocument;"
        "const root = d.documentElement;"
        "document.body.dataset.fits = root.scrollWidth <= root.clientWidth;"
        "const out = [...d.querySelectorAll('p, li, h1, h2, img, figcaption, dd')]"
        f".filter(e => e.getBoundingClientRect().right > {width} + 1);"
        "document.body.dataset.out = out.length;"
    )
    wrapper = Path(tmp_path / "frame.html")
    wrapper.write_text(
        f'<body style="margin:0"><iframe width="{width}" height="900"'
        f' style="border:0" srcdoc="{html.escape(page)}"'
        f' onload="{html.escape(measure)}"></iframe>'
    )
    shot = tmp_path / "page.png"
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    url = wrapper.as_uri()
    seen = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", url],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    assert 'data-fits="true"' in seen
    assert 'data-out="0"' in seen
    subprocess.run(
        [*command, f"--screenshot={shot}", "--window-size=1300,900", url],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert shot.stat().st_size > 20_000
