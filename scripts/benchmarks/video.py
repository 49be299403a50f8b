# SPDX-License-Identifier: Apache-2.0
"""How long a frame of a video takes with its memory full, for one object and for many, and what stays in memory.

In: a model, a size, numbers of objects. Out: a table of medians, beside the PyTorch package's in the same run.
"""

import json as json_format
import os
import sys
from pathlib import Path

import jax
import numpy as np
from rich.table import Table

from sam2_jax.predictors import SAM2VideoPredictor
from scripts.benchmarks.pytorch import PyTorchWorker
from scripts.benchmarks.timing import in_turn, random_weights, threads
from scripts.command import Dtype, console


def video(
    model: str = "sam2.1_hiera_tiny",
    image_size: int = 1024,
    dtype: Dtype = "float32",
    objects: tuple[int, ...] = (1, 8),
    runs: int = 5,
    against_torch: bool = False,
    torch_python: str = sys.executable,
    json: bool = False,
) -> None:
    """Times carrying objects to the next frame of a video.

    Args:
        model: A published model; its weights are random, which changes no time.
        image_size: The side of the input, pixels.
        dtype: The type to compute in.
        objects: How many objects are carried; each number is measured by itself.
        runs: How many frames are timed, after those that fill the memory; the median counts.
        against_torch: Run the PyTorch package in turn with this one, on the CPU, with the same number of threads.
        torch_python: The interpreter that has the PyTorch package.
        json: Print the numbers as JSON.
    """
    predictor = SAM2VideoPredictor(*random_weights(model, image_size, dtype))
    worker = None
    if against_torch:
        try:
            worker = PyTorchWorker(torch_python, model, image_size, threads())
        except ModuleNotFoundError as missing:
            console.print(f"Without PyTorch's times: {missing}")
    rows = [_measure(predictor, count, runs, worker) for count in objects]
    if worker:
        worker.close()
    if json:
        print(json_format.dumps(rows, indent=2))
        return
    title = f"{model}, {image_size} x {image_size}, {dtype}, {jax.devices()[0].device_kind}, {threads()} threads"
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(str(value) if isinstance(value, int) else f"{value:.3f}" for value in row.values()))
    console.print(table)


def _measure(
    predictor: SAM2VideoPredictor, objects: int, runs: int, worker: PyTorchWorker | None
) -> dict[str, int | float]:
    """Seconds for each frame, once the memory is full, and the memory that the frames after that took."""
    fill = predictor.model.config.recent_frames
    length = fill + runs + 3
    size = predictor.model.config.image_size
    state = predictor.init_state(
        np.full((length, size, size, 3), 5 * np.arange(length, dtype=np.uint8)[:, None, None, None])
    )
    for obj_id in range(objects):
        predictor.add_new_points_or_box(state, 0, obj_id, box=np.array([0.2, 0.2, 0.6, 0.6]) * size)
    masks = predictor.propagate_in_video(state)
    next(masks)

    def track() -> None:
        next(masks)
        jax.block_until_ready(jax.live_arrays())  # the frame after it, which would be computed in the other's turn

    functions = {"jax": track}
    if worker:
        worker(f"prompt {objects} {length}")
        functions["torch"] = lambda: worker("track")
    for _ in range(fill):
        for function in functions.values():
            function()
    processes = {"jax": os.getpid(), "torch": worker and worker.process}
    before = {name: _resident(processes[name]) for name in functions}
    seconds = in_turn(functions, runs)
    row = {"objects": objects, "frames/s": 1 / seconds["jax"]}
    if worker:
        row |= {"frames/s torch": 1 / seconds["torch"], "ratio of times": seconds["jax"] / seconds["torch"]}
    for name in functions:
        row[f"MB per frame {name}"] = (_resident(processes[name]) - before[name]) / (runs + 1) / 1e6
    return row


def _resident(process: int) -> int:
    """Bytes of a process in memory; 0 where the system does not tell."""
    status = Path(f"/proc/{process}/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0
