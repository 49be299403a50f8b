# SPDX-License-Identifier: Apache-2.0
"""Compiles a program for a TPU that is not here, and says what it takes of one.

In: a `Program` and a `Chip`. Out: a `Measured`: numbers for a table or JSON.
"""

import dataclasses
import re
import time

import jax

from scripts.compilations.programs import Program
from scripts.compilations.topology import Chip
from scripts.compilations.traffic import Costs, traffic
from train.operations import operations

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device's HBM, each array with the padding of its layout.

    Attributes:
        arguments: what goes in: parameters, the optimizer's state, a batch.
        temporaries: what is there meanwhile.
        output: what comes out.
        aliased: of the output, what takes the place of arguments.
        code: the program itself.
    """

    arguments: int
    temporaries: int
    output: int
    aliased: int
    code: int

    @property
    def total(self) -> int:
        """What has to be free for the program to run."""
        return self.arguments + self.temporaries + self.output - self.aliased + self.code


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is known of a program on one device.

    Attributes:
        name: of the program.
        fits: whether the device's memory is enough.
        refusal: why the compiler gave up, where it did; the numbers that only it knows are None then.
        memory: bytes of HBM.
        needed: bytes of HBM that the program takes in all, as far as is known.
        operations: of matrix products and convolutions.
        costs: bytes moved and the compiler's cycles, in each box of the model.
        estimate: the seconds that the compiler says a run takes. It takes each loop for one round of it, and the number
            is at times senseless, even negative.
        seconds: how long compiling took.
    """

    name: str
    fits: bool
    refusal: str | None
    memory: Memory | None
    needed: float | None
    operations: float
    costs: Costs | None
    estimate: float | None
    seconds: float

    @property
    def bytes_moved(self) -> float | None:
        """In and out of HBM, in all boxes together."""
        return None if self.costs is None else sum(cost.bytes for cost in self.costs.values())


def measure(program: Program, chip: Chip, devices: int) -> Measured:
    """Compiles it; that takes minutes where the model is of full size.

    Raises:
        jax.errors.JaxRuntimeError: the compiler fails for another reason than a lack of memory.
    """
    began = time.perf_counter()
    each = operations(program.traced.jaxpr.jaxpr, program.taken) / devices
    try:
        compiled = program.traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return Measured(
            name=program.name,
            fits=False,
            refusal=_refusal(str(error)),
            memory=None,
            needed=_needed(str(error)),
            operations=each,
            costs=None,
            estimate=None,
            seconds=time.perf_counter() - began,
        )
    sizes = compiled.memory_analysis()
    memory = Memory(
        arguments=sizes.argument_size_in_bytes,
        temporaries=sizes.temp_size_in_bytes,
        output=sizes.output_size_in_bytes,
        aliased=sizes.alias_size_in_bytes,
        code=sizes.generated_code_size_in_bytes,
    )
    return Measured(
        name=program.name,
        fits=memory.total <= chip.memory,
        refusal=None,
        memory=memory,
        needed=memory.total,
        operations=each,
        costs=traffic(compiled.as_text(), program.taken),
        estimate=compiled.cost_analysis().get("optimal_seconds"),
        seconds=time.perf_counter() - began,
    )


def _refusal(text: str) -> str:
    """The compiler's sentence about memory, without what it knows of its own sources."""
    line = next((line for line in text.splitlines() if "Ran out of memory" in line), text.splitlines()[0])
    return line[line.find("Ran out of memory") :] if "Ran out of memory" in line else line


def _needed(text: str) -> float | None:
    found = re.search(r"Used ([\d.]+)([KMGT])|temporaries \(([\d.]+)([KMGT])\)", text)
    if not found or "hbm" not in text.lower():
        return None
    number, unit = found[1] or found[3], found[2] or found[4]
    return float(number) * 1024 ** (1 + "KMGT".index(unit))
