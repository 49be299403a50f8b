# SPDX-License-Identifier: Apache-2.0
"""How long a picture takes to encode, a click to answer, and a new process to give its first mask.

In: models and a size. Out: a table of medians, beside the PyTorch package's in the same run.
"""

import json as json_format
import os
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
from rich.table import Table

from sam2_jax.predictors import SAM2ImagePredictor
from sam2_jax.segmentation import encode_frames
from scripts.benchmarks.pytorch import PyTorchWorker
from scripts.benchmarks.timing import in_turn, random_weights, threads, waiting
from scripts.command import Dtype, console

_FIRST_MASK = """
import sys, numpy as np
from sam2_jax.compilation_cache import use_compilation_cache
use_compilation_cache()
from scripts.benchmarks.image import random_predictor
predictor = random_predictor(sys.argv[1], int(sys.argv[2]), sys.argv[3])
predictor.set_image(np.zeros((600, 800, 3), np.uint8))
predictor.predict(np.array([[400, 300]]), np.array([1]))
"""


def image(
    model: tuple[str, ...] = ("sam2.1_hiera_tiny", "sam2.1_hiera_base_plus"),
    image_size: int = 1024,
    dtype: Dtype = "float32",
    runs: int = 5,
    against_torch: bool = False,
    torch_python: str = sys.executable,
    start: bool = False,
    json: bool = False,
) -> None:
    """Times encoding one picture and answering one click on it.

    Args:
        model: Published models; their weights are random, which changes no time.
        image_size: The side of the input, pixels.
        dtype: The type to compute in.
        runs: How many times each thing is measured; the median counts.
        against_torch: Run the PyTorch package in turn with this one, on the CPU, with the same number of threads.
        torch_python: The interpreter that has the PyTorch package.
        start: Also time a new process up to its first mask, without and with compiled programs on disk.
        json: Print the numbers as JSON.
    """
    rows = [_measure(name, image_size, dtype, runs, torch_python if against_torch else None) for name in model]
    if start:
        for row in rows:
            row |= _start_times(row["model"], image_size, dtype)
    if json:
        print(json_format.dumps(rows, indent=2))
        return
    title = f"{image_size} x {image_size}, {dtype}, {jax.devices()[0].device_kind}, {threads()} threads; seconds"
    table = Table("", *(row["model"] for row in rows), title=title)
    for name in list(rows[0])[1:]:
        table.add_row(name, *(f"{row[name]:.3f}" for row in rows))
    console.print(table)


def random_predictor(name: str, image_size: int, dtype: str) -> SAM2ImagePredictor:
    """A predictor of a published model with random weights."""
    return SAM2ImagePredictor(*random_weights(name, image_size, dtype))


def _measure(name: str, image_size: int, dtype: str, runs: int, torch_python: str | None) -> dict[str, str | float]:
    predictor = random_predictor(name, image_size, dtype)
    frame = jax.device_put(np.random.default_rng(0).random((1, image_size, image_size, 3), np.float32) * 255)
    picture = np.random.default_rng(0).integers(0, 255, (image_size, image_size, 3), np.uint8)
    middle = np.array([[image_size / 2, image_size / 2]])
    begin = time.perf_counter()
    predictor.set_image(picture)
    predictor.predict(middle, np.array([1]))
    first_call = time.perf_counter() - begin
    ours = {
        "encode": waiting(encode_frames, predictor.model, predictor.params, frame),
        "click": lambda: predictor.predict(middle, np.array([1])),
    }
    worker = None
    if torch_python:
        try:
            worker = PyTorchWorker(torch_python, name, image_size, threads())
        except ModuleNotFoundError as missing:
            console.print(f"Without PyTorch's times: {missing}")
    row: dict[str, str | float] = {"model": name, "first mask in this process": first_call}
    for task, function in ours.items():
        if worker is None:
            row[task] = in_turn({"jax": function}, runs)["jax"]
            continue
        seconds = in_turn({"jax": function, "torch": lambda task=task: worker(task)}, runs)
        row |= {task: seconds["jax"], f"{task} torch": seconds["torch"]}
        row[f"{task} ratio"] = seconds["jax"] / seconds["torch"]
    if worker:
        worker.close()
    return row


def _start_times(name: str, image_size: int, dtype: str) -> dict[str, float]:
    """Seconds from the start of a process to its first mask, with an empty compilation cache and with a filled one."""
    times = {}
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        for label in ("new process, nothing compiled", "new process, compiled before"):
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", _FIRST_MASK, name, str(image_size), dtype], check=True, env=environment
            )
            times[label] = time.perf_counter() - begin
    return times
