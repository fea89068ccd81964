"""Networks that are loaded from a folder: the outputs that training saw, to the bit."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from jetlab.cli.main import main
from jetlab.data import ragged
from jetlab.data.jetclass.convert import convert, to_root
from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.runs.api import train
from jetlab.runs.grid import grid
from jetlab.runs.ledger import Ledger
from jetlab.runs.trained_model import TrainedModel, best_run, load_model

POOL, VALID = 512, 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two runs of one trajectory; the weights of the better are kept."""
    out = tmp_path_factory.mktemp("models") / "runs"
    runs = grid(
        Shower(), inputs="full-10", width=4, num_train=(256, POOL), num_valid=VALID
    )
    train(runs, out)
    return out


@pytest.fixture(scope="module")
def model(folder) -> TrainedModel:
    return load_model(folder, best_run(folder))


@pytest.fixture(scope="module")
def jets():
    return Shower().valid(VALID)


def test_validation_jets_give_the_loss_of_the_record(model, jets):
    losses = np.asarray(model.evaluate(jets).loss, np.float64)
    of_labels = model.record.metrics["label_loss"]  # the posterior gives `loss`
    assert losses.mean() == pytest.approx(of_labels, rel=1e-7)


def test_outputs_do_not_depend_on_the_other_jets(model, jets):
    """Any part, order and number of jets: more than a block, and one alone."""
    whole = model(jets)
    assert whole.shape == (VALID, 10)
    backwards = np.arange(VALID)[::-1]
    turned = model(ragged.take(jets, backwards))
    np.testing.assert_allclose(turned[::-1], whole, rtol=1e-5, atol=1e-5)
    many = ragged.take(jets, np.tile(np.arange(VALID), 4))  # 800 jets: two blocks
    np.testing.assert_allclose(model(many), np.tile(whole, (4, 1)), atol=1e-5)
    (one,) = model(ragged.take(jets, np.array([7])))
    np.testing.assert_allclose(one, whole[7], rtol=1e-5, atol=1e-5)


def test_the_losses_are_those_of_the_outputs(model, jets):
    found = model.evaluate(jets)
    logits = np.asarray(found.outputs, np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -log_p[np.arange(VALID), jets.label]
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)


def test_no_jets_are_refused(model, jets):
    with pytest.raises(ValueError, match="there are no jets"):
        model(ragged.take(jets, np.arange(0)))


def test_only_the_best_run_of_a_width_is_kept(folder, model):
    records = Ledger(folder).records()
    best = min(records.values(), key=lambda record: record.loss or 9.0)
    assert model.run.id == best.id
    files = {path.name for path in (folder / "weights").iterdir()}
    assert files == set(best.weights.values())
    (other,) = [record for record in records.values() if record.id != best.id]
    with pytest.raises(
        ValueError, match=rf"of run {other.id} were not kept.*{best.id}"
    ):
        load_model(folder, other.id)
    with pytest.raises(ValueError, match="has no run nonsense"):
        load_model(folder, "nonsense")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("apply") / "store"
    write([Shower(seed=5).train(0, 300)], path, expected=300, origin={})
    return path


def test_scores_of_a_store_are_in_its_order(folder, model, store, tmp_path):
    out = tmp_path / "scores.parquet"
    command = ["apply", str(folder), "--source", str(store), "--out", str(out)]
    assert main(command) == 0
    table = parquet.read_table(out)
    jets = Store(store)
    every = jets.take(np.arange(300))
    assert table["event"].to_pylist() == list(range(300))
    np.testing.assert_array_equal(table["label"], every.label)
    np.testing.assert_array_equal(table["held_out"], np.arange(300) >= jets.size)
    scores = np.stack([table[f"score_{name}"] for name in model.classes], axis=1)
    np.testing.assert_allclose(scores, model(every), rtol=1e-5, atol=1e-5)


def test_scores_of_the_shower_are_of_jets_that_no_run_saw(folder, tmp_path):
    out = tmp_path / "scores.parquet"
    assert main(["apply", str(folder), "--jets", "20", "--out", str(out)]) == 0
    table = parquet.read_table(out)
    assert table["event"].to_pylist() == list(range(POOL, POOL + 20))
    assert table["held_out"].to_pylist() == [True] * 20
    np.testing.assert_array_equal(table["label"], Shower().train(POOL, POOL + 20).label)


@pytest.mark.slow
def test_scores_of_a_converted_root_file(folder, store, tmp_path):
    to_root([store], tmp_path / "root")
    files = sorted((tmp_path / "root").glob("*.root"))
    convert(files, tmp_path / "converted")
    out = tmp_path / "scores.parquet"
    source = str(tmp_path / "converted")
    assert main(["apply", str(folder), "--source", source, "--out", str(out)]) == 0
    assert parquet.read_table(out).num_rows == 300


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--run", "nonsense"], "has no run nonsense"),
        (["--source", "nowhere"], "nowhere"),
        (["--jets", "0"], "--jets"),
    ],
)
def test_what_cannot_be_applied_is_refused_in_a_line(
    options, words, folder, tmp_path, capsys
):
    out = tmp_path / "scores.parquet"
    assert main(["apply", str(folder), *options, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_other_classes_are_refused(folder, store, tmp_path, capsys):
    jets = Shower().train(0, 400)
    two = ragged.take(jets, np.flatnonzero(jets.label < 2))
    write([two], tmp_path / "two", expected=len(two.label), origin={})
    command = ["apply", str(folder), "--source", str(tmp_path / "two")]
    assert main([*command, "--out", str(tmp_path / "scores.parquet")]) == 2
    assert "the source has 2 classes, QCD, Hbb: take" in capsys.readouterr().err
    assert not (tmp_path / "scores.parquet").exists()


def test_an_existing_file_is_kept(folder, tmp_path):
    out = tmp_path / "scores.parquet"
    out.write_text("mine")
    assert main(["apply", str(folder), "--jets", "5", "--out", str(out)]) == 2
    assert out.read_text() == "mine"
