# SPDX-License-Identifier: Apache-2.0
"""The text of a compiled program, taken apart.

In: what `jax.stages.Compiled.as_text` gives for a TPU. Out: a `Computation` of each name, made of `Instruction`; and
every `Collective`, with its shapes and the devices it connects.
"""

import dataclasses
import math
import re
from collections.abc import Iterable

import numpy as np

_HEADER = re.compile(r"(ENTRY )?%([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"\s+(ROOT )?%([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\(([^)]*)\)(.*)")
_CALLED = re.compile(r"(?:calls|to_apply|body|branch_computations|true_computation|false_computation)=(\{[^}]*\}|%\S+)")
_NAME = re.compile(r"%([\w.\-]+)")
# A type, its dimensions, and their layout: their order, innermost first, the tiles they are padded to, and the memory.
_SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\](?:\{([^}]*)\})?")
_COLLECTIVE = re.compile(
    r"(all-reduce|all-gather|reduce-scatter|all-to-all|ragged-all-to-all|collective-permute|collective-broadcast)"
    r"(-start)?"
)
_GROUPS = re.compile(
    r"(?:replica_groups|source_target_pairs)=(\{\}|\{\{[\d,{}]*\}\}|\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?)"
)
# The axes of a mesh with their sizes, its devices if they are not in order, and the axes the collective goes along.
_ALONG_AXES = re.compile(
    r"replica_groups=mesh\[('\w+'=\d+(?:,'\w+'=\d+)*)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))?"
    r" \{((?:'\w+',?)*)\}"
)
_ITEM_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "f32": 4}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
        name: its own.
        type: of its result, with the layout.
        operation: what it does, such as ``fusion``.
        operands: the names of its inputs; of a constant or a parameter, its value or number.
        rest: everything behind the operands.
    """

    name: str
    type: str
    operation: str
    operands: tuple[str, ...]
    rest: str

    def called(self) -> list[str]:
        """The names of the computations that it runs, but for the condition of a loop."""
        return [name for names in _CALLED.findall(self.rest) for name in _NAME.findall(names)]

    def found(self, pattern: str) -> str:
        """The group of a pattern in `rest`, or nothing."""
        match = re.search(pattern, self.rest)
        return match[1] if match else ""


@dataclasses.dataclass
class Computation:
    """Instructions by name, the users of each, and which of them are the parameters, in order, and the result."""

    instructions: dict[str, Instruction] = dataclasses.field(default_factory=dict)
    users: dict[str, list[Instruction]] = dataclasses.field(default_factory=dict)
    parameters: dict[int, str] = dataclasses.field(default_factory=dict)
    result: str = ""

    def add(self, instruction: Instruction, is_result: bool) -> None:
        """Takes in the next line."""
        self.instructions[instruction.name] = instruction
        if instruction.operation == "parameter":
            self.parameters[int(instruction.operands[0])] = instruction.name
        for operand in set(instruction.operands):
            self.users.setdefault(operand, []).append(instruction)
        if is_result:
            self.result = instruction.name


def parse(text: str) -> tuple[dict[str, Computation], str]:
    """All computations of a program, and the name of the one it begins with."""
    computations, entry, current = {}, "", Computation()
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = computations[header[2]] = Computation()
            entry = header[2] if header[1] else entry
        elif match := _INSTRUCTION.match(line):
            root, name, type_, operation, inside, rest = match.groups()
            operands = _NAME.findall(inside) or [inside]
            current.add(Instruction(name, type_, operation, tuple(operands), rest), bool(root))
    return computations, entry


def sizes(type_: str) -> list[tuple[int, bool]]:
    """Of each array of a type: its bytes, with the padding of its layout, and whether it is in HBM."""
    return [(_size(item, shape, layout), "S(" not in layout) for item, shape, layout in _SHAPE.findall(type_)]


def _size(item: str, shape: str, layout: str) -> int:
    shape = [int(size) for size in shape.split(",") if size]
    order = [int(axis) for axis in layout.partition(":")[0].split(",") if axis]
    tile = re.search(r":T\(([\d,]+)\)", layout)
    for size, axis in zip([int(size) for size in tile[1].split(",")][::-1] if tile else (), order):
        shape[axis] = -(-shape[axis] // size) * size
    return math.prod(shape) * _ITEM_BYTES.get(item, 0)


@dataclasses.dataclass(frozen=True)
class Collective:
    """One exchange between devices.

    Attributes:
        operation: such as ``all-gather``; the asynchronous form has the same name.
        shapes: of its results, such as ``bf16[8,128]``, on one device.
        groups: the numbers of the devices that exchange with each other; of ``collective-permute`` each source with its
            target. Nothing stands for all devices of a slice in one group.
        crosses_slices: whether it goes from slice to slice over the data-center network. Devices are numbered within
            their slice, so that `groups` says nothing of slices. The compiler flattens and pads what crosses them.
    """

    operation: str
    shapes: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    crosses_slices: bool = False


def collectives(text: str) -> list[Collective]:
    """Every collective of a compiled program, one for each channel however often the text repeats it.

    Raises:
        ValueError: the groups of one are written in a way that is not known.
    """
    found = {}
    for computation in parse(text)[0].values():
        for one in computation.instructions.values():
            if collective := _collective(one):
                found.setdefault((collective, one.found(r"channel_id=(\d+)") or one.name), collective)
    return list(found.values())


def _collective(one: Instruction) -> Collective | None:
    shapes = tuple(f"{item}[{shape}]" for item, shape, _ in _SHAPE.findall(one.type))
    if one.operation == "send":
        transfer = one.found(r'_xla_megascale_transfer_type="(\w+)"')
        return Collective(transfer.lower().replace("_", "-"), shapes[:1], (), True) if transfer else None
    match = _COLLECTIVE.fullmatch(one.operation)
    if match is None:
        return None
    operation, start = match.groups()
    if start and operation != "all-reduce":  # the result of a start holds its inputs, its outputs and its semaphores
        arrays = [shape for shape in shapes if shape != "u32[]"]
        shapes = tuple(arrays[len(arrays) // 2 :])
    return Collective(operation, shapes, _groups(one))


def _groups(one: Instruction) -> tuple[tuple[int, ...], ...]:
    """``{{0,1},{2,3}}``; ``[2,2]<=[2,2]T(1,0)``, numbers counted up in one shape, transposed, cut into groups; or
    ``mesh['data'=2,'fsdp'=2] {'fsdp'}``, with ``device_ids=([2,2]T(1,0))`` before the braces where the numbers of the
    mesh's devices are counted up in a shape and transposed, too.
    """
    if match := _ALONG_AXES.search(one.rest):
        axes, counted, transposed, along = match.groups()
        mesh = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", axes)}
        along = re.findall(r"\w+", along)
        order = [axis for axis, name in enumerate(mesh) if name not in along]
        order += [list(mesh).index(name) for name in along]
        numbers = _counted(_integers(counted) or mesh.values(), _integers(transposed))
        numbers = numbers.reshape(tuple(mesh.values())).transpose(order)
        return _as_tuples(numbers.reshape(-1, math.prod(mesh[name] for name in along)))
    match = _GROUPS.search(one.rest)
    if match is None:
        raise ValueError(f"The {one.operation} {one.name} has no groups in a form that is known: {one.rest[:200]}")
    lists = [_integers(numbers) for numbers in re.findall(r"\d[\d,]*", match[1])]
    if match[1].startswith("{"):
        return _as_tuples(lists)
    shape, counted, *order = lists
    return _as_tuples(_counted(counted, *order).reshape(shape))


def _integers(text: str | None) -> list[int]:
    return [int(number) for number in text.split(",")] if text else []


def _counted(shape: Iterable[int], order: list[int] | None = None) -> np.ndarray:
    """Numbers counted up in a shape, and transposed."""
    shape = tuple(shape)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    return numbers.transpose(order) if order else numbers


def _as_tuples(groups: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(number) for number in group) for group in groups)
