"""Directories and files that are written completely or not at all."""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_directory(out: Path) -> Iterator[Path]:
    """A temporary directory that is renamed to `out` if the block ends without error.

    It is a hidden sibling of `out`, emptied of what a killed process left in it. Its
    content is on disk (fsync) before the rename.

    Raises:
      ValueError: if `out` exists or another process is writing it.
    """
    refuse_existing(out)
    temporary = out.parent / f".{out.name}.partial"
    temporary.mkdir(parents=True, exist_ok=True)
    lock = os.open(temporary, os.O_RDONLY)
    try:
        _lock(lock, out)
        for stale in temporary.iterdir():
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        try:
            with _path_in_errors(out):
                yield temporary
            for path in [*temporary.rglob("*"), temporary]:
                _fsync(path)
            refuse_existing(out)
            os.replace(temporary, out)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        _fsync(out.parent)
    finally:
        os.close(lock)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path whose file replaces `path` if the block ends without error.

    Its content is on disk (fsync) before the rename. Several processes, also on several
    machines, may write the same file: the last rename wins.
    """
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        with _path_in_errors(path):
            yield temporary
        _fsync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _fsync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all, as `atomic_file` does."""
    with atomic_file(path) as temporary:
        temporary.write_text(text)


def refuse_existing(out: Path) -> None:
    """Raises ValueError if `out` exists."""
    if out.exists():
        raise ValueError(f"{out} exists already: choose another --out, or delete it")


@contextmanager
def _path_in_errors(path: Path) -> Iterator[None]:
    """Adds the path to operating-system errors without one, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _lock(descriptor: int, out: Path) -> None:
    """An exclusive lock, which the system releases when the process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(f"{out} is being written by another process") from error


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
