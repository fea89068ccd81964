"""Reads from the text of an optimised GPU program what it launches and moves."""

import math
import re
from typing import NamedTuple

# instructions that only name, order or group what others compute
FREE = {"parameter", "constant", "bitcast", "tuple", "get-tuple-element", "after-all"}
SLICES = {"slice", "dynamic-slice", "gather"}
BRANCHES = "branch_computations", "true_computation", "false_computation"

INSTRUCTION = re.compile(r"\s+(ROOT )?%(\S+) = (.+?) ([a-z][a-z0-9-]*)\((.*?)\)(.*)")
ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
NAME = re.compile(r"%([\w.-]+)")
TRIPS = re.compile(r'"known_trip_count":{"n":"(\d+)"}')


class Cost(NamedTuple):
    """Launches, and bytes moved to and from memory.

    A launch reads each operand and writes each result once, of a slice only the slice:
    nothing is taken to stay in a cache. Small memsets inside a launch are not seen.
    """

    kernels: int = 0
    library: int = 0  # calls of cuBLAS, cuDNN, ...
    copies: int = 0
    waits: int = 0  # of the host, for a branch that the device decides
    moved: int = 0

    @property
    def launches(self) -> int:
        return self.kernels + self.library + self.copies

    def plus(self, other: "Cost", times: int = 1) -> "Cost":
        return Cost(*(a + times * b for a, b in zip(self, other, strict=True)))


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    operands: list[str]
    attributes: str
    root: bool

    @property
    def size(self) -> int:
        return size(self.shape)

    def called(self, *keys: str) -> list[str]:
        """The computations that attributes such as `calls` and `body` name."""
        pattern = rf"\b(?:{'|'.join(keys)})=({{[^}}]*}}|%[\w.-]+)"
        return NAME.findall(" ".join(re.findall(pattern, self.attributes)))


Computation = dict[str, Instruction]


def cost(text: str) -> Cost:
    """Cost of one call of a program: loops as often as they run, the dearer branch.

    Raises:
      ValueError: where the length of a loop is only known at run time.
    """
    computations, entry = parse(text)
    return _cost(computations, entry)


def parse(text: str) -> tuple[dict[str, Computation], str]:
    """The computations of an HLO module by name, and the name of the first to run."""
    computations: dict[str, Computation] = {}
    entry, body = "", {}
    for line in text.splitlines():
        if line.endswith("{") and line.startswith(("%", "ENTRY")):
            name = NAME.search(line)
            assert name is not None, line
            body = computations.setdefault(name[1], {})
            entry = name[1] if line.startswith("ENTRY") else entry
        elif found := INSTRUCTION.match(line):
            root, name, shape, opcode, inside, attributes = found.groups()
            operands = NAME.findall(inside) or [inside]
            body[name] = Instruction(
                name, shape, opcode, operands, attributes, root is not None
            )
    return computations, entry


def size(shape: str) -> int:
    """Bytes of an array or a tuple of arrays, written as in `(f32[2,3], pred[])`."""
    return sum(
        math.prod(map(int, filter(None, dims.split(",")))) * int(bits or 8) // 8
        for _, bits, dims in ARRAY.findall(shape)
    )


def _cost(computations: dict[str, Computation], name: str) -> Cost:
    total = Cost()
    for one in computations[name].values():
        if one.opcode == "while":
            (body,) = one.called("body")
            total = total.plus(_cost(computations, body), _trips(one))
        elif one.opcode == "conditional":
            branches = [_cost(computations, branch) for branch in one.called(*BRANCHES)]
            dearest = max(branches, key=lambda branch: (branch.moved, branch.launches))
            total = total.plus(dearest).plus(Cost(waits=1))
        elif one.opcode == "call":
            (body,) = one.called("to_apply")
            total = total.plus(_cost(computations, body))
        elif one.opcode not in FREE and not one.opcode.endswith("-done"):
            total = total.plus(_launch(one, computations, computations[name]))
    return total


def _trips(loop: Instruction) -> int:
    known = TRIPS.search(loop.attributes)
    if known is None:
        raise ValueError(
            f"the device decides how often {loop.name} runs: count a loop of fixed "
            "length, or one pass through its body"
        )
    return int(known[1])


def _launch(
    one: Instruction, computations: dict[str, Computation], around: Computation
) -> Cost:
    if one.opcode == "fusion":
        (body,) = one.called("calls")
        return Cost(kernels=1, moved=_moved_by_fusion(computations[body]))
    moved = sum(around[name].size for name in set(one.operands))
    if one.opcode == "custom-call":
        # bytes without a meaning are the library's workspace
        results = re.sub(r"\bs8\[\d*\]", "", one.shape)
        return Cost(library=1, moved=moved + size(results))
    if one.opcode.startswith("copy"):
        return Cost(copies=1, moved=moved + one.size)
    return Cost(kernels=1, moved=moved + one.size)


def _moved_by_fusion(body: Computation) -> int:
    """Whole operands and results, but of slices, gathers and updates only the part."""
    (root,) = (one for one in body.values() if one.root)
    written = (
        [body[name] for name in root.operands] if root.opcode == "tuple" else [root]
    )
    results = sum(
        body[one.operands[1]].size if one.opcode == "dynamic-update-slice" else one.size
        for one in written
    )
    parameters = [one for one in body.values() if one.opcode == "parameter"]
    return results + sum(_read(one, body) for one in parameters)


def _read(parameter: Instruction, body: Computation) -> int:
    parts = 0
    for user in (one for one in body.values() if parameter.name in one.operands):
        if user.operands[0] != parameter.name:
            return parameter.size
        if user.opcode in SLICES:
            parts += user.size
        elif user.opcode != "dynamic-update-slice":  # which writes in place
            return parameter.size
    return parts
