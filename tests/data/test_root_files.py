"""Jets to ROOT files like JetClass's, and back without a loss."""

import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from jetlab.cli.main import main
from jetlab.data import ragged
from jetlab.data.jetclass import convert as convert_module
from jetlab.data.jetclass import writer
from jetlab.data.jetclass.branches import FLAGS, JET, PARTICLE, TEN_LABELS
from jetlab.data.jetclass.convert import convert, to_root
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.data.jetclass.reader import BadInput
from jetlab.data.jetclass.writer import STEMS, encode, write_root
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.types import CLASSES, Jets
from tests.data.jetclass_files import branches, spoil, write_ntuple, write_tree

HUGE, TINY = float(np.finfo(np.float16).max), float(np.finfo(np.float16).tiny)


def hard_jets(jets: int, labels: Sequence[int]) -> Jets:
    """Jets at the limits of float16 and of JetClass's conventions."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 40, jets).astype(np.int32)
    counts[:3] = 128
    total = int(counts.sum())
    owner = np.repeat(np.arange(jets), counts)
    # Few values: most particles share their pT with others of their jet.
    pt = rng.choice([TINY, 1e-3, 0.5, 0.5005, 7.0, 33.3, 600.0, HUGE], total)
    measured = rng.normal(0, 0.3, (total, 8))
    measured[:, 0] = pt[np.lexsort((-pt, owner))]
    measured[:, 1] = measured[:, 0] * np.exp(rng.uniform(-1, 1, total))
    far = rng.random(total) < 0.05
    measured[far, 2] = rng.choice([-90.0, -2.9, 2.9, 90.0, HUGE], far.sum())
    measured[far, 3] = rng.choice([-3.1, 3.1], far.sum())
    measured[:, 4:] *= rng.choice([0.0, -0.0, 1e-7, 1e3], (total, 1))
    jet = rng.uniform(500, 1000, (jets, 4)).astype(np.float32)
    jet[:, 1], jet[:, 2] = rng.uniform(-2, 2, jets), rng.uniform(-3.1, 3.1, jets)
    jet[:2, 1] = 0.0, -0.0
    return Jets(
        label=np.resize(labels, jets).astype(np.int16),
        counts=counts,
        jet=jet,
        measured=ragged.to_float16(measured),
        charge=rng.integers(-1, 2, total).astype(np.int8),
        species=rng.integers(0, 5, total).astype(np.int8),
    )


def read(path: Path) -> Any:
    """Branches of a ROOT file."""
    with _opened(path) as file:
        return file["tree"].arrays()


def _opened(path: Path) -> Any:
    return uproot.open(path)  # its return type is not always a context manager


def jets_in(store) -> Counter[bytes]:
    """The jets of a store as bytes."""
    stored = Store(store)
    jets = stored.take(np.arange(stored.manifest.jets))
    starts = ragged.first_rows(jets)
    each = (ragged.slice_jets(jets, starts, n, n + 1) for n in range(len(starts)))
    return Counter(b"".join(column.tobytes() for column in jet) for jet in each)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(CLASSES, range(10)), (JETCLASS2, (0, 14, 15, 187))],
    ids=["ten", "fine"],
)
def test_a_store_survives_root_files_bit_by_bit(tmp_path, monkeypatch, classes, labels):
    monkeypatch.setattr(convert_module, "STEP", 25)
    monkeypatch.setattr(writer, "JETS_PER_FILE", 5)
    monkeypatch.setattr(writer, "BASKET", 2)
    monkeypatch.setattr(writer, "BUFFER", 38)
    jets = hard_jets(6 * len(labels), labels)
    total = len(jets.counts)
    write([jets], tmp_path / "a", expected=total, origin={}, classes=classes)
    written = to_root([tmp_path / "a"], tmp_path / "root")
    assert written["jets"] == total
    assert len(written["files"]) == 2 * len(labels)
    content = convert(sorted((tmp_path / "root").iterdir()), tmp_path / "b")
    assert content["origin"]["skipped"] == {}
    assert tuple(content["classes"]) == classes
    assert jets_in(tmp_path / "b") == jets_in(tmp_path / "a")


def test_momenta_follow_from_the_angles():
    """Jets at positive, negative and zero eta, whose sign counts too."""
    axes = [[600, 1, 1, 900], [600, -1, 3, 900], [600, 0, 1, 600], [600, -0.0, 3, 600]]
    jets = Jets(
        label=np.array([0, 9, 1, 1], np.int16),
        counts=np.ones(4, np.int32),
        jet=np.array(axes, np.float32),
        measured=np.array([[10, 20, 0.5, 0.25, 0, 0, 0, 0]] * 4, np.float16),
        charge=np.array([1, -1, 0, 0], np.int8),
        species=np.array([0, 4, 1, 2], np.int8),
    )
    step: Any = encode(jets, CLASSES)
    phi, eta = [1.25, 3.25, 1.25, 3.25], [1.5, -1.5, 0.5, -0.5]
    np.testing.assert_allclose(ak.flatten(step["part_px"]), 10 * np.cos(phi))
    np.testing.assert_allclose(ak.flatten(step["part_py"]), 10 * np.sin(phi))
    np.testing.assert_allclose(ak.flatten(step["part_pz"]), 10 * np.sinh(eta))
    assert step["label_QCD"].to_list() == [1, 0, 0, 0]
    assert step["label_Tbl"].to_list() == [0, 1, 0, 0]
    assert step["part_isMuon"].to_list() == [[0], [1], [0], [0]]


def test_labels_without_branches_are_refused(tmp_path):
    jets = hard_jets(10, range(2))
    write([jets], tmp_path / "a", expected=10, origin={}, classes=("up", "down"))
    with pytest.raises(ValueError, match=r"labels up, down, .* cannot be written"):
        to_root([tmp_path / "a"], tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_are_those_of_jetclass(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "JETS_PER_FILE", 3)
    data = branches(40) | {"aux_genpart_pid": np.arange(40, dtype=np.int32)}
    data["jet_sdmass"] = np.arange(40, dtype=np.float64)
    data["jet_lists"] = data["part_px"]
    path = write_tree(tmp_path / "mixed.root", data)
    written = to_root([path], tmp_path / "root")
    assert written["files"] == sorted(
        f"{stem}_{number:03d}.root" for stem in STEMS.values() for number in (0, 1)
    )
    assert written["classes"] == dict.fromkeys(CLASSES, 4)
    with _opened(tmp_path / "root" / "HToBB_000.root") as file:
        assert file.classnames(cycle=False) == {"tree": "TTree"}
        assert file.file.fCompress == 404
        tree = file["tree"]
        kinds = {name: tree[name].typename for name in tree.keys()}  # noqa: SIM118
    particles = dict.fromkeys(PARTICLE, "float[]") | dict.fromkeys(FLAGS, "int32_t[]")
    labels = ["float"] + ["bool"] * 5 + ["int32_t"] * 4
    others = ("jet_sdmass", "aux_genpart_pid")
    numbers = dict.fromkeys((*JET, *others), "float")
    labels = dict(zip(TEN_LABELS, labels, strict=True))
    jets = read(tmp_path / "root" / "HToBB_000.root")
    assert jets["jet_sdmass"].to_list() == [1, 11, 21]
    assert jets["label_Hbb"].to_list() == [True] * 3
    assert jets["part_px"].to_list() == ak.to_list(data["part_px"][1:22:10])
    assert kinds == {"npart": "int32_t"} | particles | labels | numbers


def test_our_files_and_theirs_make_the_same_store(tmp_path):
    theirs = [
        write_tree(tmp_path / f"{STEMS[name]}_000.root", branches(30, label=name))
        for name in ("QCD", "Hbb", "Tbl")
    ]
    to_root(theirs, tmp_path / "root")
    ours = [tmp_path / "root" / path.name for path in theirs]
    expected = convert(theirs, tmp_path / "a")["hash"]
    assert convert(ours, tmp_path / "b")["hash"] == expected


def test_further_branches_are_kept_if_all_files_have_them(tmp_path):
    data = branches(10, label="Zqq") | {"jet_tau1": np.arange(10, dtype=np.float32)}
    both = data | {"aux_truth": np.arange(10, dtype=np.float32)}
    paths = [
        write_tree(tmp_path / "a.root", both),
        write_tree(tmp_path / "b.root", data),
    ]
    to_root(paths, tmp_path / "root")
    jets = read(tmp_path / "root" / "ZToQQ_000.root")
    assert jets["jet_tau1"].to_list() == [*range(10), *range(10)]
    assert "aux_truth" not in jets.fields
    with pytest.raises(BadInput, match="a folder: name the files in it"):
        to_root([tmp_path / "root", paths[0]], tmp_path / "other")


@pytest.mark.parametrize("kind", ["parquet", "ntuple"])
def test_every_kind_of_file_becomes_root(tmp_path, kind):
    data = branches(20, label="Zqq")
    path = tmp_path / f"jets.{kind}"
    if kind == "parquet":
        ak.to_parquet(ak.Array(data), path)
    else:
        write_ntuple(path, data)
    to_root([path], tmp_path / "root")
    jets = read(tmp_path / "root" / "ZToQQ_000.root")
    for name in (*PARTICLE, *JET):
        assert jets[name].to_list() == ak.to_list(data[name])


def test_jets_of_a_class_are_concatenated_in_order(tmp_path):
    paths = [tmp_path / f"Hgg-{n}.parquet" for n in range(3)]
    for n, path in enumerate(paths):
        ak.to_parquet(ak.Array(branches(15, label="Hgg", seed=n)), path)
    assert to_root(paths, tmp_path / "root")["files"] == ["HToGG_000.root"]
    pt = ak.to_numpy(read(tmp_path / "root" / "HToGG_000.root")["jet_pt"])
    expected = np.concatenate(
        [branches(15, label="Hgg", seed=n)["jet_pt"] for n in range(3)]
    )
    np.testing.assert_array_equal(pt, expected)


def test_invalid_jets_are_named_or_skipped(tmp_path):
    path = write_tree(tmp_path / "bad.root", spoil(branches(40), "jet_pt", 23, -1))
    with pytest.raises(BadInput, match="entry 23"):
        to_root([path], tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.root"]
    written = to_root([path], tmp_path / "root", skip_bad=True)
    assert written["jets"] == 39
    assert written["skipped"] == {"jet_pt: zero or negative": 1}


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no jets to write"):
        write_root([], tmp_path / "root", expected=0, classes=CLASSES)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is not a store"):
        to_root([tmp_path / "folder"], tmp_path / "root")
    with pytest.raises(ValueError, match="exists already"):
        to_root([tmp_path / "folder"], tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """A disk on which files cannot grow beyond `limit` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["store", "root"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, capsys, kind):
    path = write_tree(tmp_path / "good.root", branches(400, label="Hbb"))
    with file_size_limit(50_000):
        status = main(
            ["convert", str(path), "--out", str(tmp_path / "x"), "--format", kind]
        )
    (line,) = capsys.readouterr().err.splitlines()
    assert (status, "File too large" in line) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["good.root"]
