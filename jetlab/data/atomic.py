"""Directories and files that appear whole or not at all."""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `out` when the block ends without error.

    It is a hidden sibling of `out` until then. What a killed process left of one is
    cleared away first. Raises ValueError if `out` exists or is being written by
    another process.
    """
    refuse_existing(out)
    partial = out.parent / f".{out.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    lock = os.open(partial, os.O_RDONLY)
    try:
        _claim(lock, out)
        for stale in partial.iterdir():
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        try:
            with _said_where(out):
                yield partial
            _sync(partial)
            refuse_existing(out)
            os.replace(partial, out)
        except BaseException:
            shutil.rmtree(partial)
            raise
        _sync_one(out.parent)
    finally:
        os.close(lock)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, whose file becomes `path` when the block ends without error.

    Several processes, on several machines, may write the same file: one of theirs
    stays.
    """
    partial = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        with _said_where(path):
            yield partial
        _sync_one(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_one(path.parent)


@contextmanager
def _said_where(path: Path) -> Iterator[None]:
    """Adds the path to errors of the system that have none, as of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def refuse_existing(out: Path) -> None:
    if out.exists():
        raise ValueError(f"{out} exists already: choose another --out, or delete it")


def _claim(lock: int, out: Path) -> None:
    """The lock goes with the process, however it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(f"{out} is being written by another process") from error


def _sync(directory: Path) -> None:
    for path in [*directory.rglob("*"), directory]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
