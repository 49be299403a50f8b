# SPDX-License-Identifier: Apache-2.0
"""How many bytes a compiled program moves in and out of HBM, and in which box of the model.

In: the text of a program that is compiled for a TPU. Out: a `Cost` of each box. The compiler's own sums take each loop
for one round of it; here it counts as often as it runs.
"""

import dataclasses
from collections.abc import Mapping

from scripts.compilations.hlo import Computation, Instruction, parse, sizes
from train.operations import share_taken

BOXES = ("image_encoder", "memory_attention", "memory_encoder", "sam_prompt_encoder", "sam_mask_decoder")
REST = "the rest"

# These name what is there already, or wait for what an earlier instruction began.
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "opt-barrier")
_SLICES = ("slice", "dynamic-slice", "gather")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What some instructions cost on one device.

    Attributes:
        bytes: moved in and out of HBM, as it is laid out there. A kernel counts as if it read its inputs once.
        cycles: the compiler's estimate; it has none for kernels, and for what runs beside something else.
    """

    bytes: float = 0.0
    cycles: float = 0.0


Costs = dict[str, Cost]


def traffic(text: str, taken: Mapping[tuple[int, ...], float]) -> Costs:
    """What a program costs in each of `BOXES`, and in `REST`.

    Args:
        taken: as `scripts.compilations.programs.Program` has it.
    """
    computations, entry = parse(text)
    return _Counter(computations, taken).costs(entry, ())


@dataclasses.dataclass(frozen=True)
class _Counter:
    computations: dict[str, Computation]
    taken: Mapping[tuple[int, ...], float]

    def costs(self, name: str, loops: tuple[int, ...]) -> Costs:
        """Of all that a computation does, inside loops that run so often."""
        computation = self.computations[name]
        every = (self._costs(computation, one, loops) for one in computation.instructions.values())
        return _sum((costs, 1) for costs in every)

    def _costs(self, computation: Computation, one: Instruction, loops: tuple[int, ...]) -> Costs:
        if one.operation in _FREE or one.operation.endswith("-done") or '"AllocateBuffer"' in one.rest:
            return {}
        if one.operation in ("call", "async-start"):
            return self.costs(one.called()[0], loops)
        if one.operation == "while":
            rounds = self._rounds(one)
            return _sum([(self.costs(one.called()[0], (*loops, rounds)), rounds)])
        if one.operation == "conditional":
            ways = sorted((self.costs(name, ()) for name in one.called()), key=_weight)
            share = share_taken(self.taken, loops)
            return _sum([(ways[0], 1 - share), (ways[-1], share)])
        cycles = float(one.found(r'"estimated_cycles":"(\d+)"') or 0)
        return {_box(one): Cost(self._read(computation, one) + self._written(computation, one), cycles)}

    def _rounds(self, loop: Instruction) -> int:
        """How often a loop runs: the number that its condition compares with."""
        condition = self.computations[loop.found(r"condition=%([\w.\-]+)")]
        constants = [one.operands[0] for one in condition.instructions.values() if one.operation == "constant"]
        return max((int(constant) for constant in constants if constant.isdecimal()), default=1)

    def _read(self, computation: Computation, one: Instruction) -> int:
        """Bytes that an instruction reads from HBM."""
        if one.operation.endswith("-start"):  # its result holds its input, which is counted there
            return 0
        total = 0
        for place, name in enumerate(one.operands):
            operand = computation.instructions.get(name)
            if operand is None or not all(in_hbm for _, in_hbm in sizes(operand.type)):
                continue
            whole = sum(size for size, _ in sizes(operand.type))
            total += min(whole, self._used(one, place, whole))
        return total

    def _used(self, user: Instruction, place: int, whole: int) -> int:
        """Bytes that an instruction needs of its operand at a place: of what it cuts a slice from, the slice alone."""
        if user.operation in _SLICES and place == 0:
            return sum(size for size, _ in sizes(user.type))
        if user.operation == "dynamic-update-slice" and place == 0:
            return 0  # it is written in place
        if user.operation != "fusion":
            return whole
        inside = self.computations[user.called()[0]]
        names, used = [inside.parameters[place]], 0
        for name in names:
            for inner in inside.users.get(name, ()):
                if inner.operation == "bitcast":
                    names.append(inner.name)
                else:
                    used += self._used(inner, inner.operands.index(name), whole)
        return used

    def _written(self, computation: Computation, one: Instruction) -> int:
        """Bytes that an instruction writes to HBM."""
        parts = sizes(one.type)
        if one.operation == "fusion":
            inside = self.computations[one.called()[0]]
            result = inside.instructions[inside.result]
            results = result.operands if result.operation == "tuple" else (result.name,)
            if len(results) == len(parts):
                made = (self._made(inside, name) for name in results)
                return sum(min(size, new) for (size, in_hbm), new in zip(parts, made) if in_hbm)
        if one.operation == "dynamic-update-slice" and parts[0][1]:
            return self._made(computation, one.name)
        return sum(size for size, in_hbm in parts if in_hbm)

    def _made(self, computation: Computation, name: str) -> int:
        """Bytes of a value that are new: where it is another one with a slice of it changed, those of the slice."""
        one = computation.instructions[name]
        if one.operation == "bitcast":
            return self._made(computation, one.operands[0])
        if one.operation == "dynamic-update-slice":
            return sum(size for size, _ in sizes(computation.instructions[one.operands[1]].type))
        if one.operation == "fusion":
            inside = self.computations[one.called()[0]]
            return self._made(inside, inside.result)
        return sum(size for size, _ in sizes(one.type))


def _box(one: Instruction) -> str:
    path = one.found(r'op_name="([^"]*)"')
    return next((box for box in BOXES if f"/{box}" in path), REST)


def _weight(costs: Costs) -> float:
    return sum(cost.bytes for cost in costs.values())


def _sum(parts) -> Costs:
    """The sum of costs, each so many times."""
    total = {}
    for costs, times in parts:
        for box, cost in costs.items():
            before = total.get(box, Cost())
            total[box] = Cost(before.bytes + times * cost.bytes, before.cycles + times * cost.cycles)
    return total
