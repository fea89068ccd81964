"""Files and directories are written completely or not at all, also on a power cut."""

import errno
import os

import pytest

from jetlab.atomic import atomic_directory, atomic_file, write_text


@pytest.fixture
def calls(monkeypatch):
    """fsync and replace in order of their calls, with the paths of files by inode."""
    names: dict[int, str] = {}
    found: list[tuple[str, str]] = []
    fsync, replace, open_ = os.fsync, os.replace, os.open

    def logged_open(path, *args, **kwargs):
        descriptor = open_(path, *args, **kwargs)
        names[descriptor] = os.fspath(path)
        return descriptor

    def logged_fsync(descriptor):
        found.append(("fsync", names[descriptor]))
        fsync(descriptor)

    def logged_replace(source, target):
        found.append(("replace", os.fspath(target)))
        replace(source, target)

    monkeypatch.setattr(os, "open", logged_open)
    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    return found


def test_a_file_is_on_disk_before_and_its_folder_after_the_rename(tmp_path, calls):
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert calls == [
        ("fsync", str(temporary)),
        ("replace", str(path)),
        ("fsync", str(tmp_path)),
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_on_disk_before_and_its_parent_after_the_rename(tmp_path, calls):
    out = tmp_path / "out"
    with atomic_directory(out) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "file").write_text("content")
        (temporary / "other").write_text("content")
        assert not out.exists()
    assert (out / "inner" / "file").read_text() == "content"
    before, after = calls[: calls.index(("replace", str(out)))], calls[-2:]
    parts = ("", "/inner", "/inner/file", "/other")
    assert set(before) == {("fsync", f"{temporary}{part}") for part in parts}
    assert after == [("replace", str(out)), ("fsync", str(tmp_path))]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("writer", [atomic_file, atomic_directory])
def test_an_error_leaves_nothing(tmp_path, writer):
    def fail():
        with writer(tmp_path / "out") as temporary:
            path = temporary / "file" if temporary.is_dir() else temporary
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_file_that_there_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with atomic_file(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"


def test_a_directory_made_meanwhile_is_not_replaced(tmp_path):
    """Not even an empty one, which a rename replaces without an error."""
    out = tmp_path / "out"

    def write():
        with atomic_directory(out):
            out.mkdir()

    with pytest.raises(ValueError, match="exists already: choose another --out"):
        write()
    assert list(tmp_path.iterdir()) == [out]


def test_remains_of_a_killed_process_are_cleared(tmp_path):
    remains = tmp_path / ".out.partial"
    (remains / "folder").mkdir(parents=True)
    (remains / "file").write_text("half")
    with atomic_directory(tmp_path / "out") as temporary:
        assert temporary == remains
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("writer", [atomic_file, atomic_directory])
def test_errors_of_the_system_name_the_path(tmp_path, writer):
    def fail(error):
        with writer(tmp_path / "out") as temporary:
            if not temporary.exists():
                temporary.touch()
            raise error

    with pytest.raises(OSError, match="No space") as caught:
        fail(OSError(errno.ENOSPC, "No space left on device"))
    assert (caught.value.errno, caught.value.filename) == (
        errno.ENOSPC,
        str(tmp_path / "out"),
    )
    with pytest.raises(OSError, match="denied") as caught:
        fail(OSError(errno.EACCES, "denied", "elsewhere"))
    assert caught.value.filename == "elsewhere"


def test_a_text_is_written_whole(tmp_path, calls):
    path = tmp_path / "text"
    path.write_text("old")
    write_text(path, "new")
    assert path.read_text() == "new"
    (temporary, replaced, folder) = calls
    assert temporary[0] == folder[0] == "fsync"
    assert replaced == ("replace", str(path))
    assert list(tmp_path.iterdir()) == [path]
