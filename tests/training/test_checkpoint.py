"""Checkpoints are restored bit for bit, or the one before a damaged one is."""

import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jetlab.training.checkpoint import Checkpoints


class Moments(NamedTuple):
    count: Any
    mu: Any


def state(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((64, 33), dtype=np.float32)
    return {
        "params": {"w": jnp.asarray(weights), "half": jnp.asarray(weights, "bfloat16")},
        "moments": Moments(jnp.int32(seed), [jnp.asarray(weights[0], "float16")]),
        "keys": jax.random.split(jax.random.key(seed), 3),
        "other key": jax.random.key(seed, impl="rbg"),
        "old key": jax.random.PRNGKey(seed),
        "odd": jnp.asarray([np.nan, -0.0, np.inf, 1e-40], "float32"),
        "flags": jnp.asarray([True, False]),
        "none": jnp.zeros((0, 4)),
        "order": rng.permutation(100),
        "mean": rng.standard_normal((3, 5)).T,
        "host": [np.float64(0.1), 7, 2.5, True],
    }


def bits(tree: Any) -> list[tuple[str, type, str, tuple[int, ...], bytes]]:
    """Names, types, dtypes, shapes and bytes of all leaves."""

    def plain(leaf: Any) -> np.ndarray:
        key = jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if key else leaf)

    return [
        (
            jax.tree_util.keystr(path),
            type(leaf),
            str(getattr(leaf, "dtype", "")),
            np.shape(leaf),
            plain(leaf).tobytes(),
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def saved(folder: Path, *steps: int, keep: int = 2) -> None:
    with Checkpoints(folder, keep) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step), {"at": step})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_state_and_notes_are_restored_bit_for_bit(tmp_path, capfd):
    notes = {"curve": [[50, 0.1], [100, float("nan")]], "queue": {"b": [3], "a": "é"}}
    with Checkpoints(tmp_path / "new" / "group") as checkpoints:
        assert checkpoints.latest(state()) is None
        checkpoints.save(10, state(5), notes)
    with Checkpoints(tmp_path / "new" / "group") as checkpoints:
        found = checkpoints.latest(state(6))
    assert found is not None
    assert found.step == 10
    assert bits(found.state) == bits(state(5))
    assert jax.tree.structure(found.state) == jax.tree.structure(state(5))
    assert json.dumps(found.notes) == json.dumps(notes)
    assert jax.random.key_impl(found.state["other key"]) == "rbg"
    assert capfd.readouterr() == ("", "")


def test_a_state_is_restored_with_the_sharding_of_the_template(tmp_path):
    sharding = NamedSharding(jax.make_mesh((1,), ("lane",)), PartitionSpec("lane"))
    original = {"w": jnp.arange(4.0), "keys": jax.random.split(jax.random.key(0), 2)}
    like = jax.eval_shape(lambda: original)
    placed = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, original, {})
        free, held = checkpoints.latest(like), checkpoints.latest(placed)
    assert free is not None
    assert held is not None
    assert bits(free.state) == bits(held.state) == bits(original)
    assert not free.state["w"].committed
    assert held.state["w"].sharding == held.state["keys"].sharding == sharding


def test_changes_after_save_are_not_saved(tmp_path):
    host, notes = np.zeros(5), {"queue": [1, 2]}
    donate = jax.jit(lambda x: x + 1, donate_argnums=0)
    device = donate(jnp.zeros(100_000))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, (host, device), notes)
        host += 1
        notes["queue"].pop()
        donate(device)
        found = checkpoints.latest((host, jax.ShapeDtypeStruct((100_000,), "float32")))
    assert found is not None
    assert found.notes == {"queue": [1, 2]}
    np.testing.assert_array_equal(found.state[0], np.zeros(5))
    np.testing.assert_array_equal(found.state[1], np.ones(100_000))


def test_the_latest_two_are_kept_and_clear_deletes_all(tmp_path):
    saved(tmp_path / "group", 0, 5, 7, 30)
    assert names(tmp_path / "group") == {"7", "30"}
    with Checkpoints(tmp_path / "group") as checkpoints:
        with pytest.raises(ValueError, match="already holds step 30"):
            checkpoints.save(30, state(), {})
        checkpoints.clear()
        assert not (tmp_path / "group").exists()
        checkpoints.save(1, state(), {})
    assert names(tmp_path / "group") == {"1"}


def test_clear_keeps_other_files(tmp_path):
    (tmp_path / "records.jsonl").write_text("kept")
    saved(tmp_path, 1)
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    Checkpoints(tmp_path).clear()
    assert names(tmp_path) == {"records.jsonl"}


def test_a_state_of_another_shape_is_refused_and_kept(tmp_path):
    saved(tmp_path, 1, 2)
    wider = state() | {"order": np.arange(101)}
    for like, reason in [
        (wider, r"holds \['order'\] int64\[100\] where \['order'\] int64\[101\]"),
        ({"a": state()}, r"holds \['flags'\] .* where \['a'\]\['flags'\]"),
        (state() | {"zz": 1}, r"holds no further leaf where \['zz'\]"),
    ]:
        with pytest.raises(ValueError, match=f"step 2 is of another run: it {reason}"):
            Checkpoints(tmp_path).latest(like)
    assert names(tmp_path) == {"1", "2"}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def bulk(folder: Path) -> Path:
    """The file that holds the arrays."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def header(folder: Path) -> Path:
    return folder / "header" / "metadata"


def change_a_note(folder: Path) -> None:
    text = header(folder).read_text()
    header(folder).write_text(text.replace('"at": 7', '"at": 8'))


DAMAGE = {
    "bit flipped in the arrays": lambda at: flip(bulk(at)),
    "arrays truncated": lambda at: truncate(bulk(at)),
    "arrays missing": lambda at: bulk(at).unlink(),
    "bit flipped in the header": lambda at: flip(header(at)),
    "header truncated": lambda at: truncate(header(at)),
    "header missing": lambda at: header(at).unlink(),
    "note changed": change_a_note,
    "state gone": lambda at: shutil.rmtree(at / "state"),
    "structure truncated": lambda at: truncate(at / "state" / "_METADATA"),
    "all files empty": lambda at: [
        os.truncate(path, 0) for path in at.rglob("*") if path.is_file()
    ],
    "folder empty": lambda at: (shutil.rmtree(at), at.mkdir()),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    saved(folder, 3, 7)
    return folder


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_gives_a_warning_and_the_one_before(two, tmp_path, damage):
    folder = shutil.copytree(two, tmp_path / "run")
    damage(folder / "7")
    with Checkpoints(folder) as checkpoints:
        with pytest.warns(UserWarning, match=r"step 7 is damaged .* the one before"):
            found = checkpoints.latest(state())
        assert found is not None
        assert (found.step, found.notes) == (3, {"at": 3})
        assert bits(found.state) == bits(state(3))
        assert names(folder) == {"3", "7.damaged"}
        checkpoints.save(7, state(7), {"at": 7})
        found = checkpoints.latest(state())
        assert found is not None
        assert found.step == 7


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_of_an_older_checkpoint_has_no_effect(two, tmp_path, damage):
    folder = shutil.copytree(two, tmp_path / "run")
    damage(folder / "3")
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.latest(state())
        assert found is not None
        assert found.step == 7
        checkpoints.save(8, state(8), {})
    assert {"7", "8"} <= names(folder)


def test_if_all_are_damaged_there_is_none(two, tmp_path):
    folder = shutil.copytree(two, tmp_path / "run")
    flip(bulk(folder / "3"))
    truncate(bulk(folder / "7"))
    none_before = "step 3 is damaged .* there is none before"
    with (
        pytest.warns(UserWarning, match="step 7 is damaged .* the one before"),
        pytest.warns(UserWarning, match=none_before),
    ):
        assert Checkpoints(folder).latest(state()) is None


def test_an_incomplete_checkpoint_gives_a_warning_and_is_deleted(two, tmp_path):
    folder = shutil.copytree(two, tmp_path / "run")
    shutil.copytree(folder / "7", folder / "9.orbax-checkpoint-tmp")
    with Checkpoints(folder) as checkpoints:
        with pytest.warns(UserWarning, match=r"9\.orbax-checkpoint-tmp is incomplete"):
            found = checkpoints.latest(state())
        assert found is not None
        assert found.step == 7
        checkpoints.save(9, state(9), {})
    assert names(folder) == {"7", "9"}


@contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """A file system of 1 MB in memory; skips without the right to mount it."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def file_limit(folder: Path) -> Iterator[None]:
    """A limit of 400 kB on the size of files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [tiny_disk, file_limit])
def test_a_full_disk_raises_and_keeps_earlier_checkpoints(tmp_path, limit, capfd):
    noise = np.random.default_rng(0).bytes(1_200_000)
    small = {"x": np.frombuffer(noise[:100_000], np.uint8)}
    large = {"x": np.frombuffer(noise, np.uint8)}
    with limit(tmp_path), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, small, {})
        checkpoints.save(2, small, {})
        checkpoints.save(3, large, {})
        message = "step 3 could not be written .* checkpoints are kept: free space"
        with pytest.raises(OSError, match=message) as failed:
            checkpoints.wait()
        assert str(tmp_path) in str(failed.value)
        assert names(tmp_path) == {"1", "2"}
        checkpoints.save(4, small, {"after": "space was freed"})
        found = checkpoints.latest(small)
        assert found is not None
        assert found.step == 4
    assert capfd.readouterr().err == ""


def test_a_failed_save_is_raised_by_the_next_save_or_at_the_end(tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "run"
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, state(), {})
    with pytest.raises(OSError, match="step 1 could not be written"):
        checkpoints.save(2, state(), {})

    def run(ends_by_itself: bool) -> None:
        with checkpoints:
            checkpoints.save(1, state(), {})
            if not ends_by_itself:
                raise KeyError("of the run")

    with pytest.raises(KeyError, match="of the run") as failed:
        run(ends_by_itself=False)
    assert "step 1 could not be written" in failed.value.__notes__[0]
    checkpoints = Checkpoints(folder)
    with pytest.raises(OSError, match="step 1 could not be written"):
        run(ends_by_itself=True)


def test_notes_that_are_no_json_values_are_refused(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(TypeError, match="JSON"):
            checkpoints.save(1, state(), {"a": {1, 2}})
        assert checkpoints.latest(state()) is None


def test_two_threads_save_to_separate_folders(tmp_path):
    failures = []

    def work(name: str, seed: int) -> None:
        try:
            with Checkpoints(tmp_path / name) as checkpoints:
                for step in range(6):
                    checkpoints.save(step, state(seed + step), {"name": name})
                found = checkpoints.latest(state())
                assert found is not None
                assert (found.step, found.notes) == (5, {"name": name})
                assert bits(found.state) == bits(state(seed + 5))
        except BaseException as error:
            failures.append(error)

    both = [threading.Thread(target=work, args=x) for x in [("a", 0), ("b", 100)]]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert failures == []


KILLED = """
    import os, random, signal, sys, time, warnings
    from pathlib import Path
    import numpy as np
    import orbax.checkpoint  # once for all children
    from jetlab.training.checkpoint import Checkpoints

    folder, reported = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore", UserWarning)

    def state(step):
        rng = np.random.default_rng(step)
        return {"x": rng.standard_normal(30_000), "step": np.int64(step)}

    def run():
        with Checkpoints(folder) as checkpoints:
            found = checkpoints.latest(state(0))
            step = found.step if found else 0
            if found:
                assert found.notes == {"step": step}, found.notes
                assert found.state["step"] == step
                assert (found.state["x"] == state(step)["x"]).all()
            last = int(reported.read_text()) if reported.exists() else 0
            assert step >= last, (step, last)
            os.write(started, f"{step}\\n".encode())
            while True:
                step += 1
                checkpoints.save(step, state(step), {"step": step})
                if step % 2:
                    checkpoints.wait()
                    reported.with_name("partial").write_text(str(step))
                    reported.with_name("partial").replace(reported)

    receive, started = os.pipe()
    for trial in range(9):
        child = os.fork()
        if not child:
            run()
        print(os.read(receive, 100).decode(), end="")
        time.sleep(random.uniform(0.1, 0.6))
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            sys.exit(f"child {trial} ended by itself: {status}")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""


def test_a_killed_process_always_leaves_a_complete_checkpoint(tmp_path):
    script = textwrap.dedent(KILLED)
    command = [sys.executable, "-c", script, str(tmp_path / "run"), str(tmp_path / "n")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = [int(line) for line in done.stdout.split()]
    assert steps == sorted(steps)
    assert len(steps) == 9
    assert steps[-1] > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the last may be incomplete
        like = {"x": np.empty(30_000), "step": np.int64(0)}
        found = Checkpoints(tmp_path / "run").latest(like)
    assert found is not None
    assert found.step == found.state["step"] >= int((tmp_path / "n").read_text())
