"""The command line as scripts use it: keys, exit status, one line for bad input."""

import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from jetlab.cli.main import main
from jetlab.cli.options import Pairs, Shard


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def table(tmp_path):
    """Runs that follow a law exactly, under column names of its own."""
    N, D = (a.ravel() for a in np.meshgrid([1e3, 1e4, 1e5, 1e6], np.logspace(3, 7, 5)))
    L = 0.32 + 11.27 / N**0.44 + 7.22 / D**0.22
    path = tmp_path / "runs.csv"
    rows = "\n".join(f"{n},{d},{v:.12g}" for n, d, v in zip(N, D, L, strict=True))
    path.write_text(f"params,jets,val loss\n{rows}\n")
    return path


EXPERIMENT = Path(__file__).parents[2] / "experiments" / "compute_optimal.py"
COLUMNS = ("--columns", "N=params,D=jets,L=val loss")


def test_fit_and_allocate_through_json(capsys, table, tmp_path):
    status, out, _ = run(
        capsys, "fit", str(table), *COLUMNS, "--bootstrap", "20", "--json"
    )
    fit = json.loads(out)
    assert status == 0
    assert fit["converged"]
    assert fit["identified"]
    assert fit["rows"] == 20
    truth = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}
    assert fit["params"] == pytest.approx(truth, rel=1e-4)
    assert set(fit["intervals"]) == set(truth)

    path = tmp_path / "fit.json"
    path.write_text(out)
    status, out, _ = run(capsys, "allocate", str(path), "--budget", "1e15", "--json")
    plan = json.loads(out)
    assert status == 0
    assert plan["a"] == pytest.approx(0.22 / 0.66, rel=1e-3)
    assert plan["gamma"] == pytest.approx(0.44 * 0.22 / 0.66, rel=1e-3)
    assert 6 * 40 * plan["N"] * plan["D"] == pytest.approx(1e15, rel=1e-6)


@pytest.fixture
def law(capsys, table, tmp_path):
    """A fit of the table, as a file."""
    _, out, _ = run(capsys, "fit", str(table), *COLUMNS, "--bootstrap", "0", "--json")
    path = tmp_path / "fit.json"
    path.write_text(out)
    return path


def test_an_allocation_with_repeated_data(capsys, caplog, law):
    choices = ("--budget", "1e18", "--jet-cost", "1e9", "--max-epochs", "50")
    status, out, _ = run(capsys, "allocate", str(law), *choices, "--json")
    plan = json.loads(out)
    assert status == 0
    spent = plan["D"] * (240 * plan["N"] * plan["E"] + 1e9)
    assert spent == pytest.approx(1e18, rel=1e-9)
    assert 1 < plan["E"] < 50
    assert plan["simulated"] == pytest.approx(plan["D"] * 1e9 / 1e18)
    assert plan["repeat_above_cost"] < 1e9
    assert "is assumed" in plan["message"]
    status, out, _ = run(capsys, "allocate", str(law), *choices)
    assert status == 0
    assert f"E: {plan['E']:.3f}" in out
    assert "repeat_above_cost: " in out
    assert "interpolation" not in out
    assert f"warning: {plan['warnings'][0]}" in caplog.messages


def test_device_hours_are_a_budget(capsys, law):
    hours = ("--device-hours", "10", "--flop-rate", "1e12", "--json")
    _, ours, _ = run(capsys, "allocate", str(law), *hours)
    _, theirs, _ = run(capsys, "allocate", str(law), "--budget", "3.6e16", "--json")
    assert json.loads(ours) == json.loads(theirs)
    _, out, _ = run(capsys, "allocate", str(law), *hours[:-1])
    assert out.splitlines()[0] == "verdict: decided"
    assert out.splitlines()[1].startswith("C = 240 N D FLOPs (n_p = 40); 68 % inter")
    assert out.splitlines()[2].startswith("N: ")
    assert "E: " not in out


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ("", "give --budget, or --device-hours with --flop-rate"),
        ("--budget 1e18 --device-hours 1", "not both"),
        ("--device-hours 1", "go together"),
        ("--device-hours 0 --flop-rate 1e12", "device_hours is 0"),
        ("--budget -1e18", "budget is -1e+18"),
        ("--budget nan", "budget is nan"),
        ("--budget 1", "too small"),
        ("--budget much", "--budget"),
        ("--budget 1e18 --max-epochs 5", "need a cost of simulation"),
        ("--budget 1e18 --jet-cost 0", "flops_per_jet is 0"),
        ("--budget 1e8 --jet-cost 1e9", "cannot simulate one jet"),
        ("--budget 1e18 --jet-cost 1e9 --max-epochs 0", "at least 1"),
        ("--budget 1e18 --jet-cost 1e9 --jet-seconds 1", "not both"),
        ("--budget 1e18 --jet-seconds 1", "go together"),
        ("--budget 1e18 --jet-cost 1e9 --repeats omega=2", "repeats take"),
    ],
)
def test_impossible_allocations_are_refused(capsys, law, choices, words):
    status, out, err = run(capsys, "allocate", str(law), *choices.split())
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_a_law_without_N_and_D_allocates_nothing(capsys, law):
    fit = json.loads(law.read_text()) | {"form": "data_only"}
    law.write_text(json.dumps(fit))
    status, _, err = run(capsys, "allocate", str(law), "--budget", "1e18")
    assert status == 2
    assert "not a fit" in err
    fit["params"] = {name: fit["params"][name] for name in ("L_inf", "B", "beta")}
    law.write_text(json.dumps(fit))
    status, _, err = run(capsys, "allocate", str(law), "--budget", "1e18")
    assert status == 2
    assert "no N and D" in err


@pytest.fixture
def physics(capsys, law, tmp_path):
    """A fit as a study of taggers leaves it, of a signal that follows R(L) exactly."""
    loss = np.linspace(0.4, 1.2, 12)
    table = tmp_path / "rejections.csv"
    pairs = zip(np.exp(loss), 2e5 * np.exp(-9 * loss) + 40, strict=True)
    table.write_text("X,L\n" + "\n".join(f"{x:.15g},{r:.15g}" for x, r in pairs) + "\n")
    columns = ("--columns", "X=X,L=L", "--form", "rejection", "--bootstrap", "20")
    _, out, _ = run(capsys, "fit", str(table), *columns, "--json")
    hbb = {"efficiency": 0.995, "background": "QCD", "common_error": 0.1}
    hbb["law"] = json.loads(out)
    path = tmp_path / "physics.json"
    whole = json.loads(law.read_text()) | {"rejections": {"Hbb": hbb}}
    path.write_text(json.dumps(whole))
    return path


def test_predicted_rejections(capsys, caplog, physics):
    arguments = ("predict", str(physics), "--budget", "1e14")
    status, out, _ = run(capsys, *arguments, "--json")
    found = json.loads(out)
    assert status == 0
    assert 240 * found["N"] * found["D"] == pytest.approx(1e14)
    (hbb,) = found["rejections"]
    assert (hbb["signal"], hbb["efficiency"], hbb["background"]) == (
        "Hbb", 0.995, "QCD",
    )  # fmt: skip
    there = 2e5 * np.exp(-9 * found["loss"]) + 40
    assert hbb["rejection"] == pytest.approx(there, rel=1e-5)
    assert hbb["interval"] is None
    assert "the loss has no draws" in found["message"]
    caplog.clear()
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    verdict, _, n, d, loss, rejection, where = out.splitlines()
    assert verdict == "verdict: decided"
    assert n.startswith("N: ")
    assert d.startswith("D: ")
    assert loss == f"loss: {found['loss']:.3f}"
    assert rejection == f"Hbb at 99.5 %: {there:.3g}"
    assert where == "interpolation: within the range of the rows fitted"
    assert [r.getMessage() for r in caplog.records] == [
        f"warning: {warning}" for warning in found["warnings"]
    ]


def test_intervals_of_rejections(capsys, physics):
    whole = json.loads(physics.read_text())
    values = {name: [value] * 100 for name, value in whole["params"].items()}
    values["L_inf"] = list(np.linspace(0.28, 0.36, 100))
    whole["draws"] = {"values": values, "asked": 100, "message": ""}
    physics.write_text(json.dumps(whole))
    status, out, _ = run(capsys, "predict", str(physics), "--budget", "1e14")
    assert status == 0
    line = out.splitlines()[5]
    value, low, high = (
        float(word.strip("(),")) for word in line.partition(": ")[2].split()
    )
    assert low < value < high


@pytest.mark.parametrize(
    ("change", "choices", "words"),
    [
        ({"rejections": {}}, "--budget 1e14", "holds no rejection laws"),
        ({"rejections": {"Hbb": {}}}, "--budget 1e14", "Hbb must have efficiency"),
        ({"params": {}}, "--budget 1e14", "not a fit"),
        ({"form": "data_only"}, "--budget 1e14", "not a fit"),
        ({}, "--budget 0", "budget is 0"),
        ({}, "--budget 1", "too small"),
        ({}, "--budget 1e14 --particles -1", "particles is -1"),
        ({}, "", "--budget"),
    ],
)
def test_rejections_that_cannot_be_predicted(capsys, physics, change, choices, words):
    physics.write_text(json.dumps(json.loads(physics.read_text()) | change))
    status, out, err = run(capsys, "predict", str(physics), *choices.split())
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_a_law_without_N_and_D_predicts_no_rejections(capsys, physics):
    whole = json.loads(physics.read_text())
    single = whole["rejections"]["Hbb"]["law"] | {"rejections": whole["rejections"]}
    physics.write_text(json.dumps(single))
    status, _, err = run(capsys, "predict", str(physics), "--budget", "1e14")
    assert status == 2
    assert "rejection has no N and D to divide a budget between" in err
    physics.write_text("{")
    status, _, err = run(capsys, "predict", str(physics), "--budget", "1e14")
    assert status == 2
    assert "not a fit" in err


def test_fixed_parameters_keep_their_values(capsys, table):
    options = (*COLUMNS, "--fix", "L_inf=0.3", "--bootstrap", "0", "--json")
    status, out, _ = run(capsys, "fit", str(table), *options)
    assert status == 0
    assert json.loads(out)["params"]["L_inf"] == pytest.approx(0.3)


def test_undetermined_parameters_are_not_identified(capsys, tmp_path):
    """D = 20 N on every row."""
    path = tmp_path / "diagonal.csv"
    N = np.logspace(3, 6, 10)
    L = 0.5 + 5 / N**0.4
    rows = zip(N, 20 * N, L, strict=True)
    path.write_text("N,D,L\n" + "\n".join(f"{n},{d},{v}" for n, d, v in rows) + "\n")
    status, out, _ = run(capsys, "fit", str(path), "--bootstrap", "0", "--json")
    assert status == 0
    assert json.loads(out)["identified"] is False
    assert json.loads(out)["message"]


def test_flops_keys(capsys):
    status, out, _ = run(capsys, "flops", "--width", "8", "--particles", "12", "--json")
    counts = json.loads(out)
    assert status == 0
    assert counts["params_total"] == 3778
    assert counts["particles"] == 12
    assert counts["flops_6ND"] == 6 * 3778 * 12
    assert counts["flops_matmul"] < counts["flops_xla"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command"),
        (["fit", "nowhere.csv"], "nowhere.csv"),
        (["fit", "{table}"], "no column N, D, L: write --columns N=...,D=...,L=..."),
        (
            ["fit", "{table}", "--columns", "N=params"],
            "has no column D, L: write",
        ),
        (["fit", "{table}", *COLUMNS, "--fix", "L_inf=low"], "L_inf=low"),
        (["fit", "{table}", *COLUMNS, "--fix", "gamma=0.1"], "gamma"),
        (["fit", "{table}", *COLUMNS, "--bootstrap", "-1"], "--bootstrap"),
        (["allocate", "{table}", "--budget", "1e15"], "not a fit"),
        (["allocate", "nowhere.json", "--budget", "1e15"], "nowhere.json"),
        (["allocate", "{binary}", "--budget", "1e15"], "is not a text file"),
        (["suggest", "{table}", "--budget", "1e15"], "not a fit"),
        (["predict", "nowhere.json", "--budget", "1e15"], "nowhere.json"),
        (["flops", "--width", "0"], "--width"),
        (["flops", "--width", "129"], "multiple of 2"),
        (["status", "{tmp}"], "holds no study"),
        (["report", "{tmp}"], "holds no study"),
        (["describe", "{tmp}"], "{tmp}"),
        (["run", "nowhere.py", "--out", "{tmp}/out"], "no experiment at nowhere.py"),
        (["run", "{experiment}", "--size", "huge", "--out", "{tmp}/out"], "laptop"),
        (["run", "{experiment}", "--source", "{tmp}", "--out", "{tmp}/out"], "{tmp}"),
        (["run", "{raises}", "--out", "{tmp}/out"], "failed: ZeroDivisionError"),
        (["apply", "{tmp}", "--out", "{tmp}/out"], "has no weights"),
        (["convert", "nowhere.root", "--out", "{tmp}/store"], "nowhere.root"),
        (["convert", "--out", "{tmp}/store"], "FILES"),
        (["simulate", "shower", "--jets", "3", "--out", "{tmp}/store"], "--jets"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, table, tmp_path, arguments, words):
    binary, raises = tmp_path / "binary.json", tmp_path / "raises.py"
    binary.write_bytes(bytes(range(256)))
    raises.write_text("SIZES = {'laptop': 1}\ndef study(size, source): return 1 / 0\n")
    places = {"table": table, "tmp": tmp_path, "experiment": EXPERIMENT}
    places |= {"binary": binary, "raises": raises}
    status, out, err = run(capsys, *(word.format(**places) for word in arguments))
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert words.format(**places) in err
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "out").exists()


COMMANDS = (
    "simulate shower", "simulate pythia", "convert", "describe", "run", "status", "fit",
    "allocate", "suggest", "predict", "flops", "report", "apply",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys, command):
    status, out, _ = run(capsys, *command.split(), "--help")
    assert status == 0
    assert f"jetlab {command}" in out.partition("Example:")[2]


def test_every_command_is_listed(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    listed = out.partition("Commands:\n")[2].splitlines()
    assert {line.split()[0] for line in listed} == {c.split()[0] for c in COMMANDS}


def test_help_imports_neither_jax_nor_numpy():
    script = """
import sys
from jetlab.cli.main import main
for arguments in (["--help"], ["run", "--help"], ["simulate", "pythia", "--help"]):
    assert main(arguments) == 0
print("imported:", *{"jax", "numpy", "pyarrow", "flax"} & set(sys.modules))
"""
    command = [sys.executable, "-c", script]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "imported:"


def test_logs_go_to_standard_error_and_results_to_standard_output(tmp_path):
    (tmp_path / "runs.csv").write_text("N,D,L\n1e3,1e4,1.25\n2e3,1e5,1.125\n")
    command = [sys.executable, "-m", "jetlab.cli.main", "fit", "runs.csv", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 0
    assert json.loads(found.stdout)["converged"] is False
    assert found.stderr.startswith("warning: not fitted: 2 rows")


def test_a_shower_store_is_written_and_described(capsys, tmp_path):
    out = tmp_path / "jets"
    arguments = ("--jets", "1000", "--seed", "3", "--out", str(out))
    status, text, err = run(capsys, "simulate", "shower", *arguments)
    assert (status, err) == (0, "")
    jets, identity, classes = text.splitlines()
    assert jets == "jets: 1000"
    assert classes.startswith("classes: QCD 100, Hbb 100, ")
    status, text, _ = run(capsys, "describe", str(out), "--json")
    found = json.loads(text)
    assert status == 0
    assert (found["jets"], found["origin"]["seed"]) == (1000, 3)
    assert identity == f"identity: {found['identity']}"
    status, _, err = run(capsys, "simulate", "shower", *arguments)
    assert status == 2
    assert err == f"jetlab: {out} exists already: choose another --out, or delete it\n"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("two\n  lines"), 2, "jetlab: two lines\n"),
        (OSError("the scheduler is gone"), 2, "jetlab: the scheduler is gone\n"),
        (OSError(28, "No space left", "a/b"), 2, "jetlab: a/b: No space left\n"),
        (KeyboardInterrupt(), 130, "jetlab: interrupted; finished work is kept\n"),
    ],
)
def test_the_exit_status_of_errors(capsys, monkeypatch, error, status, line):
    def fail(folder):
        raise error

    monkeypatch.setattr("jetlab.data.store.describe", fail)
    found, out, err = run(capsys, "describe", "jets")
    assert (found, out) == (status, "")
    assert err.lstrip("\n") == line  # click ends an interrupted line first


@pytest.mark.parametrize("text", ["1/1", "3/3", "1/8"])
def test_shards_count_from_one(text):
    first, _, last = text.partition("/")
    assert Shard().convert(text, None, None) == (int(first), int(last))


@pytest.mark.parametrize("text", ["0/1", "4/3", "1/0", "-1/2", "1/2/3", "1", "a/b", ""])
def test_other_shards_are_refused(text):
    with pytest.raises(click.BadParameter, match="is not I/N with I from 1 to N"):
        Shard().convert(text, None, None)


def test_names_with_values_may_have_spaces_and_equals_signs():
    read = Pairs(str).convert(" N = params, L=val=loss", None, None)
    assert read == {"N": "params", "L": "val=loss"}
    assert Pairs(float).convert("a=1e3,b=-2", None, None) == {"a": 1e3, "b": -2.0}


@pytest.mark.parametrize("text", ["", "N", "N=", "=1", "N=1,", "N=one"])
def test_other_names_with_values_are_refused(text):
    with pytest.raises(click.BadParameter, match=r"is not NAME=VALUE,\.\.\."):
        Pairs(float).convert(text, None, None)
