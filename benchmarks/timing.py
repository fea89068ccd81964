"""A race on one machine: contenders take turns, so that a busy minute hits them all."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import jax
from tabulate import tabulate

Contender = Callable[[], int]
"""Takes some steps, waits until the last is done, returns how many they were."""


class Seconds(NamedTuple):
    """What one step takes: by the clock, and of all cores of this process."""

    wall: float
    cpu: float

    @property
    def fair(self) -> float:
        """What others on the machine disturb least: of the process on a CPU."""
        return self.cpu if jax.default_backend() == "cpu" else self.wall


def race(
    contenders: Mapping[str, Contender], repeats: int, seconds: float
) -> dict[str, Seconds]:
    """Medians over `repeats` rounds of turns of at least `seconds` for each contender.

    A call before the first round, which compiles, is not counted. On the CPU, time of
    the process says more than the clock where others use the machine too.

    Raises:
      ValueError: unless there is at least one round.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}: ask for at least one round")
    for contender in contenders.values():
        contender()
    turns: dict[str, list[Seconds]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            turns[name].append(_turn(contender, seconds))
    return {name: _medians(taken) for name, taken in turns.items()}


def _medians(turns: Sequence[Seconds]) -> Seconds:
    return Seconds(median(t.wall for t in turns), median(t.cpu for t in turns))


def _turn(contender: Contender, seconds: float) -> Seconds:
    """One turn: whole calls until the time is up, at least one."""
    steps, cpu, begin = 0, time.process_time(), time.perf_counter()
    while not steps or time.perf_counter() - begin < seconds:
        steps += contender()
    wall = time.perf_counter() - begin
    return Seconds(wall / steps, (time.process_time() - cpu) / steps)


def lined_up(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> str:
    """A table of numbers that are formatted already."""
    return tabulate(rows, headers, disable_numparse=True, stralign="right")


def parser(doc: str | None, *, quick: str) -> argparse.ArgumentParser:
    """Options of a benchmark by width; `quick` says what that leaves out."""
    options = argparse.ArgumentParser(description=doc)
    options.add_argument("--quick", action="store_true", help=quick)
    options.add_argument("--widths", type=int, nargs="+", metavar="D")
    return options
