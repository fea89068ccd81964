import re
from collections import Counter
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as parquet
import pytest
import uproot

from jetlab.data.jetclass import reader
from jetlab.data.jetclass.branches import FLAGS, FLOATS
from jetlab.data.jetclass.convert import convert
from jetlab.data.jetclass.decoding import decode
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.jetclass.reader import BadInput
from jetlab.types import Jets
from tests.data.jetclass_files import SHARED, branches, spoil, write_ntuple, write_tree


def read_all(*files, skip_bad: bool = False) -> tuple[Jets, Counter[str]]:
    skipped: Counter[str] = Counter()
    inputs = reader.survey(files, skip_bad=skip_bad, skipped=skipped)
    steps = [
        step
        for file in inputs
        for step in reader.read(file, skip_bad=skip_bad, skipped=skipped)
    ]
    return Jets(*map(np.concatenate, zip(*steps, strict=True))), skipped


@pytest.fixture(scope="module")
def data() -> dict:
    return branches()


@pytest.fixture(scope="module", params=["tree", "ntuple", "parquet"])
def file(request, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / f"jets.{request.param}"
    if request.param == "tree":
        return write_tree(path, data)
    if request.param == "ntuple":
        return write_ntuple(path, data)
    ak.to_parquet(ak.Array(data), path)
    return path


def test_values_are_kept_in_float16(file, data):
    jets, skipped = read_all(file)
    flat = {name: ak.to_numpy(ak.flatten(data[name])) for name in (*FLOATS, *FLAGS)}
    pt = np.hypot(flat["part_px"], flat["part_py"])
    np.testing.assert_allclose(jets.measured[:, 0], pt, rtol=5e-4)
    for column, name in enumerate(FLOATS[3:], 1):
        expected = flat[name]
        np.testing.assert_allclose(jets.measured[:, column], expected, 5e-4, atol=1e-7)
    np.testing.assert_array_equal(jets.charge, ak.flatten(data["part_charge"]))
    for number, name in enumerate(FLAGS):
        np.testing.assert_array_equal(jets.species == number, flat[name])
    np.testing.assert_array_equal(jets.counts, ak.num(data["part_px"]))
    np.testing.assert_array_equal(jets.label, np.arange(40) % 10)
    names = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
    np.testing.assert_array_equal(jets.jet, np.stack([data[n] for n in names], 1))
    assert not skipped


def test_steps_do_not_change_the_jets(file, monkeypatch):
    whole, _ = read_all(file)
    monkeypatch.setattr(reader, "STEP", 7)
    for stepped, column in zip(read_all(file)[0], whole, strict=True):
        np.testing.assert_array_equal(stepped, column)


def test_particles_are_sorted_by_pt_and_cut_at_128():
    rng = np.random.default_rng(1)
    pt = rng.exponential(10, 200).astype(np.float32)
    data = {
        name: ak.Array([values.to_list()[0] * 200]) for name, values in _one().items()
    }
    data |= {"part_px": ak.Array([pt]), "part_py": ak.Array([pt * 0])}
    data |= {"part_deta": ak.Array([pt / 64])}  # shows that columns stay together
    whole = ak.zip(data, depth_limit=1)
    for name, values in branches(1).items():
        if not name.startswith("part_"):
            whole[name] = values
    jets, _ = decode(whole)
    expected = np.sort(pt)[::-1][:128]
    assert jets.counts.tolist() == [128]
    np.testing.assert_allclose(jets.measured[:, 0], expected, rtol=5e-4)
    np.testing.assert_allclose(jets.measured[:, 2], expected / 64, rtol=5e-4)


def _one() -> dict:
    """Particle branches of one jet of one particle."""
    return {
        name: values[:1, :1]
        for name, values in branches(1).items()
        if name.startswith("part_")
    }


NAN = float("nan")
BAD = [
    ("part_energy", 0.0, "part_energy: zero or negative"),
    ("part_energy", NAN, "part_energy: NaN or infinity"),
    ("part_px", NAN, "part_px: NaN or infinity"),
    ("part_d0val", float("inf"), "part_d0val: NaN or infinity"),
    ("part_charge", 2.0, "part_charge: not -1, 0 or 1"),
    ("part_isMuon", 7, "part_isChargedHadron ... part_isMuon: flags are not one-hot"),
    ("part_charge", NAN, "part_charge: not -1, 0 or 1"),
    ("jet_pt", 0.0, "jet_pt: zero or negative"),
    ("jet_energy", -1.0, "jet_energy: zero or negative"),
    ("jet_eta", NAN, "jet_eta: NaN or infinity"),
    ("label_Tbl", 1, "label_QCD ... label_Tbl: labels are not one-hot"),
    ("label_QCD", 0.5, "label_QCD ... label_Tbl: labels are not one-hot"),
]


@pytest.mark.parametrize(("branch", "value", "problem"), BAD)
def test_an_invalid_jet_is_named_or_skipped(tmp_path, data, branch, value, problem):
    path = write_tree(tmp_path / "bad.root", spoil(data, branch, 23, value))
    named, reason = problem.split(": ")
    with pytest.raises(BadInput) as caught:
        convert([path], tmp_path / "store")
    advice = "repair the file, or skip such jets with --skip-bad"
    assert str(caught.value) == (
        f"{path}, entry 23, branch {named}: {reason}: {advice}"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["bad.root"]

    jets, skipped = read_all(path, skip_bad=True)
    assert skipped == {problem: 1}
    sound = np.delete(np.arange(40), 23)
    np.testing.assert_array_equal(jets.label, sound % 10)
    np.testing.assert_array_equal(jets.counts, ak.num(data["part_px"])[sound])


def test_the_first_of_several_errors_counts(tmp_path, data):
    bad = spoil(spoil(data, "jet_pt", 7, -1), "jet_phi", 7, NAN)
    bad = spoil(bad, "part_energy", 7, 0)
    bad = spoil(spoil(bad, "part_energy", 3, NAN), "jet_eta", 30, NAN)
    path = write_tree(tmp_path / "bad.root", bad)
    with pytest.raises(BadInput, match="entry 3, branch part_energy: NaN"):
        read_all(path)
    jets, skipped = read_all(path, skip_bad=True)
    assert skipped == {
        "jet_pt: zero or negative": 1,
        "jet_eta: NaN or infinity": 1,
        "part_energy: NaN or infinity": 1,
    }
    np.testing.assert_array_equal(jets.label, np.delete(np.arange(40), [3, 7, 30]) % 10)


def test_a_particle_at_rest_is_an_error(tmp_path, data):
    rest = spoil(spoil(data, "part_px", 5, 0), "part_py", 5, 0)
    rest = spoil(rest, "part_px", 6, 0)  # along y: valid
    path = write_tree(tmp_path / "rest.root", rest)
    reason = "part_px and part_py: a particle without transverse momentum"
    assert read_all(path, skip_bad=True)[1] == {reason: 1}


def test_an_empty_jet_is_named_or_skipped(tmp_path, data):
    keep = np.arange(40) != 31
    hollow = {
        name: ak.Array([v if k else [] for v, k in zip(values, keep, strict=True)])
        if name.startswith("part_")
        else values
        for name, values in data.items()
    }
    hollow = {
        name: ak.values_astype(values, np.float32)
        if name.startswith("part_")
        else values
        for name, values in hollow.items()
    }
    path = write_tree(tmp_path / "bad.root", hollow)
    with pytest.raises(BadInput, match=r"entry 31, branch part_px: a jet without"):
        read_all(path)
    jets, skipped = read_all(path, skip_bad=True)
    assert (len(jets.counts), sum(skipped.values())) == (39, 1)


def test_a_jet_with_branches_of_different_lengths_is_named(tmp_path, data):
    lists = data["part_deta"].to_list()
    lists[5].append(0.1)
    longer = ak.values_astype(ak.Array(lists), np.float32)
    path = write_tree(tmp_path / "bad.root", data | {"part_deta": longer})
    with pytest.raises(
        BadInput,
        match="entry 5, branch part_deta: another number of values than part_px",
    ):
        read_all(path)
    assert len(read_all(path, skip_bad=True)[0].counts) == 39


def test_the_entry_is_counted_over_steps(tmp_path, data, monkeypatch):
    monkeypatch.setattr(reader, "STEP", 10)
    path = write_tree(tmp_path / "bad.root", spoil(data, "jet_pt", 23, 0))
    with pytest.raises(BadInput, match="entry 23"):
        read_all(path)


def test_huge_momenta_are_clipped_not_infinite(tmp_path, data):
    path = write_tree(tmp_path / "big.root", spoil(data, "part_px", 0, 3e38))
    assert np.isfinite(read_all(path)[0].measured).all()


def test_missing_branches_are_named(tmp_path, data):
    fewer = {k: v for k, v in data.items() if k not in ("part_dzval", "label_Hgg")}
    path = write_tree(tmp_path / "few.root", fewer)
    with pytest.raises(BadInput, match=r"few\.root, branch part_dzval, label_Hgg"):
        read_all(path, skip_bad=True)


def test_a_missing_tree_is_answered_with_those_of_the_file(tmp_path, data):
    path = write_tree(tmp_path / "other.root", data, name="Events")
    with pytest.raises(BadInput, match=r"no tree 'tree'; it holds Events \(TTree\)"):
        read_all(path, skip_bad=True)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 0.98])
def test_a_truncated_file_is_named_or_skipped(tmp_path, file, share):
    content = file.read_bytes()
    path = tmp_path / "short"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadInput, match=r"short.*truncated or damaged.*--skip-bad"):
        read_all(path)
    jets, skipped = read_all(file, path, skip_bad=True)
    assert len(jets.counts) == 40
    assert sum(skipped.values()) in (1, 40)


def test_the_rest_of_a_damaged_file_is_skipped(tmp_path, monkeypatch):
    path = write_tree(tmp_path / "damaged.root", branches(200), baskets=4)
    branch: Any = uproot.open(f"{path}:tree/part_px")
    baskets = branch.member("fBasketSeek")
    branch.file.close()
    with path.open("r+b") as file:
        file.seek(int(baskets[2]))
        file.write(bytes(100))
    monkeypatch.setattr(reader, "STEP", 50)
    with pytest.raises(BadInput, match="entry 100: cannot be read from here on"):
        read_all(path)
    jets, skipped = read_all(path, skip_bad=True)
    assert len(jets.counts) == 100
    assert skipped == {"unreadable": 100}


def test_files_must_exist_and_differ(tmp_path, file):
    with pytest.raises(ValueError, match="no input files"):
        read_all()
    with pytest.raises(BadInput, match=r"absent\.root: there is no such file"):
        read_all(file, tmp_path / "absent.root", skip_bad=True)
    with pytest.raises(BadInput, match="given 2 times"):
        read_all(file, file.parent / "." / file.name, skip_bad=True)


def test_labels_of_jetclass_and_jetclass2_do_not_mix(tmp_path, data):
    fine = {k: v for k, v in data.items() if not k.startswith("label_")}
    fine["jet_label"] = np.arange(40, dtype=np.int32)
    ten = write_tree(tmp_path / "a.root", data)
    many = write_tree(tmp_path / "b.root", fine)
    assert read_all(many)[0].label.tolist() == list(range(40))
    with pytest.raises(BadInput, match=r"b\.root: has other labels than a\.root"):
        read_all(ten, many)
    for label in (-1, 188):
        spoiled = spoil(fine, "jet_label", 3, label)
        outside = write_tree(tmp_path / "c.root", spoiled)
        with pytest.raises(BadInput, match="entry 3, branch jet_label"):
            read_all(outside)


real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not here")


@real
def test_pythia_files_are_read():
    path = SHARED / "pythia_20k.root"
    jets, skipped = read_all(path)
    assert not skipped
    assert np.bincount(jets.label).tolist() == [2000] * 10
    by_class = [jets.counts[jets.label == k].mean() for k in range(10)]
    known = [35.6, 43.4, 39.5, 58.1, 50.5, 30.0, 35.1, 33.5, 51.6, 28.1]
    assert by_class == pytest.approx(known, abs=0.06)


@real
def test_labels_of_jetclass2_agree_with_its_truth_particles():
    path = SHARED / "JetClassII_example.parquet"
    jets, skipped = read_all(path)
    assert (len(jets.counts), len(JETCLASS2), skipped) == (100, 188, {})
    table = parquet.read_table(path)
    np.testing.assert_array_equal(jets.counts, table["jet_nparticles"])
    resonant = [name.startswith("X_") for name in np.array(JETCLASS2)[jets.label]]
    assert sum(resonant) == 79
    for label, pids, product in zip(
        jets.label[resonant],
        table["aux_genpart_pid"].filter(resonant).to_pylist(),
        table["aux_genpart_isResDecayProd"].filter(resonant).to_pylist(),
        strict=True,
    ):
        # One of four decay products may lie outside the jet, and is not in the name.
        decay = re.sub("tau[hem]", "t", JETCLASS2[label].rsplit("_")[-1])
        products = [
            LETTER[abs(p)] for p, is_one in zip(pids, product, strict=True) if is_one
        ]
        assert Counter(decay) <= Counter(products), JETCLASS2[label]


LETTER = dict(zip((1, 2, 3, 4, 5, 21, 11, 13, 15), "qqscbgemt", strict=True))
LETTER |= {12: "v", 14: "v", 16: "v"}
