import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from jetlab.data import external_shuffle, ragged, store_writer
from jetlab.data import store as store_module
from jetlab.data.features import FEATURES
from jetlab.data.jetclass.convert import convert
from jetlab.data.shower.source import Shower
from jetlab.data.store import Store, describe
from jetlab.data.store_writer import write
from jetlab.runs.sources import absolute_name, open_source
from jetlab.types import CLASSES, Jets
from tests.data.jetclass_files import SHARED, branches, spoil, write_tree


def jets_of(jets: int, seed: int = 0, label: int | None = None) -> Jets:
    """Random jets; the pT of a jet is its number, which identifies it."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, jets).astype(np.int32)
    total = int(counts.sum())
    jet = rng.normal(size=(jets, 4)).astype(np.float32)
    jet[:, 0] = np.arange(jets)
    return Jets(
        label=np.arange(jets, dtype=np.int16) % 10
        if label is None
        else np.full(jets, label, np.int16),
        counts=counts,
        jet=jet,
        measured=rng.uniform(1, 2, (total, 8)).astype(np.float16),
        charge=rng.integers(-1, 2, total).astype(np.int8),
        species=rng.integers(0, 5, total).astype(np.int8),
    )


def blocks_of(jets: Jets, size: int) -> list[Jets]:
    starts = ragged.first_rows(jets)
    return [
        ragged.slice_jets(jets, starts, at, min(at + size, len(starts)))
        for at in range(0, len(starts), size)
    ]


def same(one: Jets, other: Jets) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def small(monkeypatch):
    """Buckets and shards so small that 2,000 jets fill several."""
    monkeypatch.setattr(external_shuffle, "BUCKET", 150)
    monkeypatch.setattr(store_writer, "SHARD", 400)


@pytest.fixture
def store(tmp_path, small) -> tuple[Store, Jets]:
    jets = jets_of(2000)
    write(blocks_of(jets, 90), tmp_path / "store", expected=2000, origin={})
    return Store(tmp_path / "store"), jets


def test_a_store_holds_the_same_jets_in_another_order(store):
    stored, jets = store
    assert len(stored.manifest.shards) > 3
    read = stored.take(np.arange(2000))
    numbers = read.jet[:, 0].astype(int)
    assert sorted(numbers) == list(range(2000))
    assert same(read, ragged.take(jets, numbers))


def test_shuffled_order_is_uncorrelated_with_the_input(tmp_path, small):
    # Rank correlations of n jets have variance 1/(n - 1). Seed 0 is a fluctuation of
    # 3.2 standard deviations (1 in 700), so 40 seeds are tested together.
    jets, squares = jets_of(600), []
    for seed in range(40):
        shuffled = external_shuffle.ExternalShuffle(
            tmp_path / str(seed), expected=600, seed=seed
        )
        shuffled.add(jets)
        numbers = np.concatenate([block.jet[:, 0] for block in shuffled.drain()])
        squares.append(599 * np.corrcoef(numbers, np.arange(600))[0, 1] ** 2)
    assert 1e-3 < chi2.sf(sum(squares), 40) < 1 - 1e-3


def test_take_crosses_shards_in_the_order_of_the_indices(store):
    stored, _ = store
    everything = stored.take(np.arange(2000))
    indices = np.random.default_rng(5).integers(0, 2000, 300)
    assert same(stored.take(indices), ragged.take(everything, indices))
    assert len(stored.take(np.array([], int)).counts) == 0
    for outside in (-1, 2000):
        with pytest.raises(ValueError, match="has 2000"):
            stored.take(np.array([outside]))


def test_train_is_a_contiguous_read(store):
    stored, _ = store
    assert stored.size == 1600
    for start, stop in [(0, 1600), (390, 460), (7, 7)]:
        expected = stored.take(np.arange(start, stop))
        assert same(stored.train(start, stop), expected)
    with pytest.raises(ValueError, match="which has 1600"):
        stored.train(1500, 1601)


def test_validation_is_balanced_fixed_nested_and_disjoint(store):
    stored, _ = store
    few, more = stored.valid(50), stored.valid(200)
    assert np.bincount(more.label).tolist() == [20] * 10
    assert same(stored.valid(200), more)
    in_order = stored.take(np.arange(1600, 2000)).jet[:, 0]
    chosen = np.isin(in_order, more.jet[:, 0])
    np.testing.assert_array_equal(more.jet[:, 0], in_order[chosen])
    numbers = [set(jets.jet[:, 0]) for jets in (few, more, stored.train(0, 1600))]
    assert numbers[0] < numbers[1]
    assert not numbers[1] & numbers[2]
    with pytest.raises(
        ValueError, match=r"1000 validation jets per class.*'QCD': \d\d"
    ):
        stored.valid(10_000)
    with pytest.raises(ValueError, match="not a multiple of 10"):
        stored.valid(55)


def test_a_store_of_two_classes_is_a_source_of_two(tmp_path, small):
    parts = [jets_of(900, label=8), jets_of(500, seed=1, label=3)]
    write(parts, tmp_path / "two", expected=1400, origin={})
    stored = Store(tmp_path / "two")
    assert stored.classes == ("Hgg", "Tbqq")
    assert np.bincount(stored.valid(40).label).tolist() == [20, 20]
    assert 40 <= stored.held_out <= 200
    kept = ragged.concatenate(list(stored.blocks(300)))
    assert set(kept.label) == {3, 8}  # as on disk
    for jets in (stored.train(0, stored.size), stored.take(np.arange(stored.size))):
        named = [stored.classes[label] for label in jets.label]
        assert named == [CLASSES[label] for label in kept.label[: stored.size]]


def test_the_store_depends_on_jets_and_seed_not_on_blocks(tmp_path, small):
    jets = jets_of(1000)

    def digest(name: str, size: int, seed: int = 0, source: Jets = jets) -> str:
        parts = blocks_of(source, size)
        return write(
            parts, tmp_path / name, expected=1000, origin={"n": name}, seed=seed
        ).hash

    reference = digest("a", 90)
    assert digest("b", 1000) == reference
    assert Store(tmp_path / "b").identity == f"store:{reference[:12]}"
    assert digest("c", 90, seed=1) != reference
    charge = jets.charge.copy()
    charge[17] = 1 - charge[17] % 2
    assert digest("d", 90, source=jets._replace(charge=charge)) != reference


def test_the_hash_does_not_depend_on_buckets_and_shards(tmp_path, monkeypatch):
    blocks = blocks_of(jets_of(500), 100)
    one = write(blocks, tmp_path / "one", expected=500, origin={})
    monkeypatch.setattr(external_shuffle, "BUCKET", 60)
    monkeypatch.setattr(store_writer, "SHARD", 120)
    many = write(blocks, tmp_path / "many", expected=500, origin={})
    assert (len(one.shards), one.hash) == (1, many.hash)


def test_stores_are_those_of_earlier_versions(tmp_path):
    """Hash, files and manifest as the first version of schema 1 wrote them."""
    manifest = write([jets_of(1000)], tmp_path / "a", expected=1000, origin={"n": 1})
    assert manifest.hash[:16] == "a28fa40ed9d30a1d"
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in (tmp_path / "a").rglob("*")
        if path.is_file()
    }
    assert digests == {
        "charge.npy": "605215303071",
        "counts.npy": "4060fb3278f3",
        "jet.npy": "daa4623309b4",
        "label.npy": "564d6cf20262",
        "measured.npy": "ffcea6747beb",
        "species.npy": "dd51ea5d788c",
        "starts.npy": "3dfb55f82fec",
        "manifest.json": "0d43fc523b56",
    }


def test_a_store_is_read_as_the_format_says(tmp_path):
    """Two shards written without the writer; jets of two classes out of three."""
    jets = jets_of(10)._replace(label=np.array([0, 2] * 5, np.int16))
    counts, particles = [4, 6], [int(jets.counts[:4].sum()), int(jets.counts[4:].sum())]
    for number, (start, stop) in enumerate([(0, 4), (4, 10)]):
        folder = tmp_path / f"{number:05d}"
        folder.mkdir()
        part = ragged.slice_jets(jets, ragged.first_rows(jets), start, stop)
        for name, column in part._asdict().items():
            np.save(folder / f"{name}.npy", column)
        np.save(folder / "starts.npy", ragged.first_rows(part))
    shards = [
        {"name": f"{n:05d}", "jets": counts[n], "particles": particles[n]}
        for n in (0, 1)
    ]
    manifest = {"schema": 1, "hash": "0123456789abcdef", "jets": 10}
    manifest |= {"particles": sum(particles), "classes": {"a": 5, "b": 0, "c": 5}}
    manifest |= {"mean_particles": {}, "seed": 0, "origin": {}, "shards": shards}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    stored = Store(tmp_path)
    renumbered = jets._replace(label=np.array([0, 1] * 5, np.int16))
    assert (stored.identity, stored.classes) == ("store:0123456789ab", ("a", "c"))
    assert (stored.size, stored.held_out) == (8, 2)
    assert same(stored.take(np.arange(10)), renumbered)
    assert same(stored.train(3, 5), ragged.take(renumbered, np.array([3, 4])))
    assert same(stored.valid(2), ragged.take(renumbered, np.array([8, 9])))
    assert same(ragged.concatenate(list(stored.blocks(3))), jets)


def test_validation_is_a_fifth_up_to_a_maximum(store, monkeypatch):
    stored, _ = store
    assert stored.size == 1600
    monkeypatch.setattr(store_module, "MAX_VALIDATION", 100)
    assert Store(stored.path).size == 1900


def test_jets_without_particles_are_refused(tmp_path):
    jets = jets_of(5)
    counts = jets.counts.copy()
    counts[4] += counts[2]
    counts[2] = 0
    empty = jets._replace(counts=counts)
    with pytest.raises(ValueError, match="jet 2 of a block has no particles"):
        write([empty], tmp_path / "store", expected=5, origin={})
    assert list(tmp_path.iterdir()) == []


def test_prefixes_of_a_store_of_single_class_files_are_balanced(tmp_path, small):
    files = [
        write_tree(tmp_path / f"{name}.root", branches(200, label=name, seed=n))
        for n, name in enumerate(CLASSES)
    ]
    convert(files, tmp_path / "store")
    label = Store(tmp_path / "store").take(np.arange(2000)).label
    for prefix in (100, 300, 1000, 1600):
        counts = np.bincount(label[:prefix], minlength=10)
        assert chisquare(counts).pvalue > 1e-3
    assert np.bincount(label).tolist() == [200] * 10


def test_the_order_of_the_files_does_not_matter(tmp_path):
    files = [write_tree(tmp_path / f"{n}.root", branches(20, seed=n)) for n in range(3)]
    first = convert(files, tmp_path / "a")
    assert convert(files[::-1], tmp_path / "b")["hash"] == first["hash"]


def test_describe_counts_jets_particles_and_skipped_entries(tmp_path):
    path = write_tree(tmp_path / "bad.root", spoil(branches(40), "jet_pt", 0, -1))
    content = convert([path], tmp_path / "store", skip_bad=True)
    assert content == describe(tmp_path / "store")
    assert json.loads(json.dumps(content))["jets"] == 39
    assert content["classes"] == {name: 3 + (name != "QCD") for name in CLASSES}
    jets = Store(tmp_path / "store").take(np.arange(39))
    assert content["mean_particles"] == {
        name: pytest.approx(jets.counts[jets.label == k].mean(), abs=1e-4)
        for k, name in enumerate(CLASSES)
    }
    assert tuple(content["features"]) == FEATURES
    assert content["origin"] == {
        "files": [{"path": str(path), "entries": 40}],
        "skipped": {"jet_pt: zero or negative": 1},
    }


def test_a_given_origin_names_the_simulator(tmp_path):
    path = write_tree(tmp_path / "good.root", branches(10))
    origin = {"simulator": "pythia-8"}
    content = convert([path], tmp_path / "store", origin=origin)
    assert content["origin"] == {"simulator": "pythia-8", "skipped": {}}
    assert content["identity"] == f"pythia-8:{content['hash'][:12]}"


def test_an_existing_store_is_refused_and_kept(tmp_path):
    path = write_tree(tmp_path / "good.root", branches(40))
    identity = convert([path], tmp_path / "store")["identity"]
    with pytest.raises(ValueError, match="choose another --out, or delete it"):
        convert([path], tmp_path / "store")
    with pytest.raises(ValueError, match="choose another --out, or delete it"):
        write([], tmp_path / "store", expected=1, origin={})
    assert Store(tmp_path / "store").identity == identity


def test_an_error_leaves_nothing(tmp_path):
    def failing():
        yield jets_of(50)
        raise RuntimeError("the simulator broke")

    with pytest.raises(RuntimeError):
        write(failing(), tmp_path / "store", expected=100, origin={})
    with pytest.raises(ValueError, match="no jets"):
        write([], tmp_path / "store", expected=100, origin={})
    for label in (-1, 10):
        named = rf"labels from {label} to {label} do not index 10 classes"
        with pytest.raises(ValueError, match=named):
            write([jets_of(5, label=label)], tmp_path / "store", expected=5, origin={})
    bad = tmp_path / "in" / "bad.root"
    bad.parent.mkdir()
    bad.write_bytes(b"")
    with pytest.raises(ValueError, match="no jets"):
        convert([bad], tmp_path / "store", skip_bad=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_second_writer_of_one_store_is_refused(tmp_path):
    def blocks():
        with pytest.raises(ValueError, match="being written by another process"):
            write([jets_of(10)], tmp_path / "store", expected=10, origin={})
        yield jets_of(20)

    write(blocks(), tmp_path / "store", expected=20, origin={})
    assert Store(tmp_path / "store").manifest.jets == 20


SLOW = """
    import time
    from jetlab.data import store_writer
    from jetlab.data.jetclass import convert, reader
    moment, patched = {moment!r}
    module = {{"reader": reader, "store_writer": store_writer}}[moment]
    def stop(*args, **kwargs):
        print("now", flush=True)
        time.sleep(60)
    setattr(module, patched, stop)
    convert.convert([{path!r}], {out!r})
"""


@pytest.mark.parametrize(
    "moment",
    [
        ("reader", "decode"),
        ("store_writer", "Manifest"),
    ],
)
def test_a_killed_conversion_leaves_no_store(tmp_path, moment):
    path = write_tree(tmp_path / "good.root", branches(40))
    out = tmp_path / "store"
    script = SLOW.format(moment=moment, path=str(path), out=str(out))
    run = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(run, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists()
    with pytest.raises(ValueError, match="not a store"):
        Store(out)
    assert convert([path], out)["jets"] == 40
    assert {p.name for p in tmp_path.iterdir()} == {"good.root", "store"}


def test_sources_open_by_name_from_any_folder(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_source("shower") == Shower(seed=0)
    assert absolute_name("shower") == "shower"
    assert absolute_name("store") == str(store[0].path.resolve())
    assert open_source("store").identity == store[0].identity
    with pytest.raises(ValueError, match=r"absent is not a store, manifest\.json is"):
        open_source("absent")


def test_damage_is_detected_on_opening(store):
    path = store[0].path / "00001" / "measured.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-16])
    with pytest.raises(ValueError, match=r"00001/measured\.npy.*make it again"):
        Store(store[0].path)
    path.unlink()
    with pytest.raises(ValueError, match=r"00001/measured\.npy.*make it again"):
        Store(store[0].path)


def test_another_schema_is_refused(store):
    path = store[0].path / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(ValueError, match=r"schema 99.*convert the files again"):
        Store(store[0].path)


def test_long_jets_are_cut_at_128_particles(tmp_path):
    one = jets_of(1)
    long = ragged.take(one, np.zeros(200, int))
    merged = long._replace(
        label=long.label[:1],
        counts=np.array([len(long.charge)], np.int32),
        jet=long.jet[:1],
    )
    write([merged], tmp_path / "store", expected=1, origin={})
    assert Store(tmp_path / "store").take(np.array([0])).counts.tolist() == [128]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not here")
def test_pythia_jets_become_a_store(tmp_path):
    content = convert([SHARED / "pythia_20k.root"], tmp_path / "store")
    assert content["jets"] == 20_000
    assert content["mean_particles"]["QCD"] == pytest.approx(35.6, abs=0.05)
    stored = Store(tmp_path / "store")
    assert np.bincount(stored.valid(3000).label).tolist() == [300] * 10
