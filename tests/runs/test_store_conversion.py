"""Conversion by many workers gives the store of a single process."""

import os
import pickle
from collections import Counter
from pathlib import Path

import pytest

from jetlab.cli.main import main
from jetlab.data.jetclass import reader
from jetlab.data.jetclass.convert import convert
from jetlab.data.jetclass.reader import BadInput
from jetlab.runs import store_conversion
from jetlab.runs.dispatch import Unfinished
from jetlab.runs.store_conversion import convert_on
from tests.data.jetclass_files import branches, spoil, write_tree


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three files; the second has an invalid jet."""
    folder = tmp_path_factory.mktemp("files")
    data = [branches(30, seed=n) for n in range(3)]
    data[1] = spoil(data[1], "jet_pt", 7, -1)
    return [write_tree(folder / f"{n}.root", one) for n, one in enumerate(data)]


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """Summary of a conversion in one process."""
    out = tmp_path_factory.mktemp("whole") / "store"
    return convert(files, out, skip_bad=True, seed=3)


@pytest.fixture
def decoded(monkeypatch):
    """Numbers of the files that were decoded, in order."""
    numbers = []

    def read(file, **choices):
        numbers.append(int(file.path.stem))
        return original(file, **choices)

    original = reader.read
    monkeypatch.setattr(reader, "read", read)
    return numbers


def test_shards_make_the_same_store(tmp_path, files, whole, decoded, monkeypatch):
    monkeypatch.setattr(reader, "STEP", 11)
    out = tmp_path / "store"
    for number in (2, 1):
        assert convert_on(files, out, skip_bad=True, shard=(number, 2)) is None
        assert not out.exists()
    assert decoded == [1, 0, 2]
    content = convert_on(files, out, skip_bad=True, seed=3)
    assert content == whole
    assert whole["origin"]["skipped"] == {"jet_pt: zero or negative": 1}
    assert len(decoded) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.slow
def test_processes_make_the_same_store(tmp_path, files, whole):
    out = tmp_path / "store"
    content = convert_on(files, out, skip_bad=True, seed=3, on="processes", workers=1)
    assert content == whole
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_an_invalid_file_is_named_and_the_others_are_kept(
    tmp_path, files, decoded, capsys
):
    out = str(tmp_path / "store")
    choices = ("--out", out, "--shard", "1/1")
    assert main(["convert", *map(str, files), *choices]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "1 of 3 tasks failed" in line
    assert "entry 7, branch jet_pt: zero or negative" in line
    assert "--skip-bad" in line
    decoded.clear()
    with pytest.raises(Unfinished):
        convert_on(files, out)
    assert set(decoded) == {1}
    assert not (tmp_path / "store").exists()


def test_a_full_disk_leaves_no_partial_file(tmp_path, files, monkeypatch):
    def full(file, column):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    out = tmp_path / "store"
    with monkeypatch.context() as patched:
        patched.setattr(store_conversion.np, "save", full)
        with pytest.raises(Unfinished, match="No space left on device"):
            convert_on(files, out, skip_bad=True, shard=(1, 1))
    left = [path.name for path in (tmp_path / "store.pieces").iterdir()]
    assert left == ["request.json"]
    assert convert_on(files, out, skip_bad=True) is not None


def test_cached_files_of_other_inputs_are_refused(tmp_path, files):
    out = tmp_path / "store"
    convert_on(files, out, skip_bad=True, shard=(1, 3))
    with pytest.raises(ValueError, match=r"of another request \(skip_bad True\)"):
        convert_on(files, out)
    with pytest.raises(ValueError, match=r"of another request \(files 3 "):
        convert_on(files[:2], out, skip_bad=True)


def test_cached_files_of_a_changed_input_are_refused(tmp_path, files):
    copy = tmp_path / "0.root"
    copy.write_bytes(files[0].read_bytes())
    out = tmp_path / "store"
    convert_on([copy], out, shard=(1, 1))
    time = copy.stat().st_mtime_ns
    os.utime(copy, ns=(time, time + 10**9))
    with pytest.raises(ValueError, match=r"of another request \(files 1 "):
        convert_on([copy], out)


@pytest.mark.parametrize("size", [0, 40, 3000, -1])
def test_a_damaged_cached_file_is_named(tmp_path, files, size):
    out = tmp_path / "store"
    convert_on(files, out, skip_bad=True, shard=(1, 1))
    piece = tmp_path / "store.pieces" / "00001"
    piece.write_bytes(piece.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"pieces/00001: damaged .*delete it"):
        convert_on(files, out, skip_bad=True)
    assert not out.exists()
    piece.unlink()
    assert convert_on(files, out, skip_bad=True) is not None


def test_a_cached_file_with_missing_jets_is_refused(tmp_path, files):
    out = tmp_path / "store"
    convert_on(files, out, skip_bad=True, shard=(1, 1))
    store_conversion.save(
        tmp_path / "store.pieces" / "00001", [], Counter({"lost": 12})
    )
    with pytest.raises(ValueError, match=r"00001: 0 jets and 12 skipped of the 30 in"):
        convert_on(files, out, skip_bad=True)
    assert not out.exists()


def test_a_file_that_is_not_visible_to_a_worker_is_not_skipped(tmp_path, files):
    (file,) = reader.survey(files[:1], skip_bad=True, skipped=Counter())
    gone = reader.InputFile(**vars(file) | {"path": tmp_path / "gone.root"})
    task = store_conversion.DecodeTask(
        file=gone, path=tmp_path / "00000", skip_bad=True
    )
    with pytest.raises(BadInput, match="not visible on"):
        store_conversion.decode(task)
    assert list(tmp_path.iterdir()) == []


def test_errors_are_pickled_between_processes():
    error = BadInput.at(Path("a.root"), "broken", entry=3, branch="b")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (BadInput, "a.root, entry 3, branch b: broken")


def test_root_files_are_written_by_one_process(tmp_path, files, capsys):
    choices = ("--out", str(tmp_path / "x"), "--format", "root", "--shard", "1/2")
    assert main(["convert", str(files[0]), *choices]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "omit --on, --workers and --shard" in line
    assert list(tmp_path.iterdir()) == []
