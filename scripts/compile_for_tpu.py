# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.compile_for_tpu --config FILE --topology v5e:4x4`: does it fit, and what would it cost?

In: a training's config, and TPUs that need not be here. Out: memory, operations and traffic of one chip, as a table or
JSON; exit code 1 where the memory is not enough.
"""

import dataclasses
import json as json_format
import sys
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from scripts.command import console, run
from scripts.compilations.measure import Measured, measure
from scripts.compilations.programs import check_attention, evaluation, train_steps, video, with_clips, with_entry
from scripts.compilations.topology import Chip, open_topology
from train.__main__ import load_config
from train.config import check
from train.overrides import with_overrides
from train.sharding import make_mesh

Change = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")]


def compile_for_tpu(
    config: str,
    topology: str,
    task: Literal["train", "evaluation", "video"] = "train",
    slices: int = 1,
    set: Change = (),
    entry: int | None = None,
    clips_per_chip: int | None = None,
    frames: int = 100,
    objects: int = 3,
    json: bool = False,
) -> None:
    """Compiles the step of a training, or segment_video, for TPUs, without any; it takes minutes at full size.

    Args:
        config: A file of configs/, or FILE:WORD where its get_config takes a word.
        topology: What to compile for, such as v5e:4x4, v5p:2x2x1 or v6e:2x2.
        task: train for the very step of python -m train, for each shape of batch; evaluation for its evaluation, with
            one clip on each chip; video for segment_video with one video on each chip.
        slices: How many slices of the topology there are, with only the data-center network between them.
        set: Changes a field of the config, as for python -m train. Can be repeated.
        entry: Only the batches of this entry of the mixture, from 0, and not of all that differ in shape.
        clips_per_chip: Every batch has as many clips for each chip, and not as many in all as the config says.
        frames: With --task video, how many frames a video has.
        objects: With --task video, how many objects are followed in it.
        json: Print the numbers as JSON.
    """
    chosen = with_overrides(load_config(config), set)
    check_attention(chosen)
    if entry is not None:
        chosen = with_entry(chosen, entry)
    devices, chip = open_topology(topology, slices)
    mesh = make_mesh(chosen.mesh, devices)
    if task == "train":
        if clips_per_chip is not None:
            chosen = with_clips(chosen, clips_per_chip * mesh.size)
        check(chosen, mesh)
        programs = train_steps(chosen, mesh)
    elif task == "evaluation":
        programs = [evaluation(chosen, mesh)]
    else:
        programs = [video(chosen, mesh, frames, objects)]
    results = []
    for program in programs:
        with console.status(f"compiling the {program.name}"):
            results.append(measure(program, chip, mesh.size))
    if json:
        print(json_format.dumps([_as_json(result, chip, topology, slices) for result in results], indent=2))
    else:
        for result in results:
            Console().print(_table(result, chip, topology if slices == 1 else f"{slices} slices of {topology}"))
    if not all(result.fits for result in results):
        sys.exit(1)


def _as_json(result: Measured, chip: Chip, topology: str, slices: int) -> dict:
    numbers = dataclasses.asdict(result) | {"bytes_moved": result.bytes_moved}
    if result.memory:
        numbers["memory"]["total"] = result.memory.total
    return numbers | {"topology": topology, "slices": slices, "device_memory": chip.memory}


def _table(result: Measured, chip: Chip, topology: str) -> Table:
    table = Table(title=f"{result.name}; one device of {topology}", show_header=False)
    if result.memory:
        for name, size in dataclasses.asdict(result.memory).items():
            table.add_row(name, _gib(size))
    if result.needed is not None:
        table.add_row("memory, in all", f"{_gib(result.needed)} of {_gib(chip.memory)}")
    table.add_row("fits", "yes" if result.fits else f"no. {result.refusal or ''}")
    table.add_row("operations", f"{result.operations / 1e12:.2f} T, {_at_best(result.operations / chip.speed)}")
    if result.costs is not None:
        table.add_row("bytes moved", f"{_gib(result.bytes_moved)}, {_at_best(result.bytes_moved / chip.bandwidth)}")
        cycles = sum(cost.cycles for cost in result.costs.values())
        for box, cost in sorted(result.costs.items(), key=lambda item: -item[1].bytes):
            share = 100 * cost.cycles / max(cycles, 1)
            table.add_row(f"  {box}", f"{_gib(cost.bytes)}, and {share:.0f} % of the cycles that the compiler expects")
    if result.estimate is not None:
        remark = "each loop counted once" if result.estimate > 0 else "senseless"
        table.add_row("the compiler's estimate", f"{1e3 * result.estimate:.1f} ms, {remark}")
    table.add_row("compiled in", f"{result.seconds:.0f} s")
    return table


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def _at_best(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms at the chip's best"


if __name__ == "__main__":
    run(compile_for_tpu)
