# SPDX-License-Identifier: Apache-2.0
"""How many training clips one core makes from JPEG frames and palette masks, and what they take of memory.

In: the size of clips and of frames. Out: a table of medians, beside the PyTorch package's in the same run.
"""

import json as json_format
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import jax
import numpy as np
from PIL import Image
from rich.table import Table

from data.augmentation import VIDEO_AUGMENTATION, draw_colour
from data.config import DataConfig, Entry
from data.formats.palette_folder import palette_folder
from data.pipeline import Batches
from data.sampling import ClipRule
from sam2_jax.media import palette
from scripts.benchmarks.timing import in_turn, threads, waiting
from scripts.command import console
from train.colour import jitter

_VIDEOS, _LENGTH, _DISCS = 3, 24, 5


def data(
    frames: int = 8,
    objects: int = 3,
    image_size: int = 1024,
    width: int = 1280,
    height: int = 720,
    runs: int = 15,
    against_torch: bool = False,
    torch_python: str = sys.executable,
    json: bool = False,
) -> None:
    """Times making training clips: decoding, augmentation and resize, as the training of videos does it.

    Colours are changed on the device, where the PyTorch package changes them on the host; that time is its own row.

    Args:
        frames: Of a clip.
        objects: At most so many in a clip.
        image_size: The side of the result, pixels.
        width: Of the frames on disk, pixels.
        height: Of the frames on disk, pixels.
        runs: How many clips are timed; the median counts.
        against_torch: Run the PyTorch package's data set and transforms in turn with this one, on one core.
        torch_python: The interpreter that has the PyTorch package.
        json: Print the numbers as JSON.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_videos(folder, width, height)
        arguments = [str(folder), str(frames), str(objects), str(image_size)]
        makers = {"jax": ClipMaker([sys.executable, "-m", "scripts.benchmarks.our_data", *arguments])}
        if against_torch:
            try:
                worker = Path(__file__).with_name("pytorch_data.py")
                makers["torch"] = ClipMaker([torch_python, str(worker), *arguments])
            except ModuleNotFoundError as missing:
                console.print(f"Without PyTorch's times: {missing}")
        seconds = {name: [] for name in makers}
        for run in range(runs + 1):
            for name, maker in makers.items():
                took = maker()
                if run:  # the first warms up
                    seconds[name].append(took)
        for maker in makers.values():
            maker.close()
        row: dict[str, float] = {}
        for name in makers:
            row[f"clips/s per core {name}"] = 1 / statistics.median(seconds[name])
        if "torch" in makers:
            row["ratio"] = row["clips/s per core jax"] / row["clips/s per core torch"]
        for name, maker in makers.items():
            row[f"MB of a clip {name}"] = maker.clip_bytes / 1e6
            row[f"MB while making clips, above an idle worker {name}"] = maker.memory_growth / 1e6
        row[f"seconds of colour changes a clip, on {jax.devices()[0].device_kind}"] = _colour(frames, image_size)
        row |= _throughput(folder, frames, objects, image_size, runs)
    if json:
        print(json_format.dumps(row, indent=2))
        return
    title = f"{frames} frames, {objects} objects, {width} x {height} to {image_size} x {image_size}"
    table = Table("", "", title=title)
    for name, value in row.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)


class ClipMaker:
    """A worker that makes one clip each time it is called.

    Attributes:
        clip_bytes: of the latest clip.
        memory_growth: by how many bytes the worker's memory was above that of the idle one at its peak.

    Raises:
        ModuleNotFoundError: the worker does not start; the message says what failed.
    """

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        answer = self._process.stdout.readline().split()
        if answer[:1] != ["ready"]:
            reason = self._process.communicate()[1].strip().splitlines()[-1:]
            raise ModuleNotFoundError(f"{command[0]} does not run {command[1]}: {''.join(reason)}")
        self._idle, self.clip_bytes, self.memory_growth = self._peak_memory(), 0, 0

    def __call__(self) -> float:
        """Makes a clip; returns the seconds of processor time, so that others on the machine do not count."""
        self._process.stdin.write("clip\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if answer[:1] != ["done"]:
            raise RuntimeError(self._process.communicate()[1])
        self.clip_bytes, self.memory_growth = int(answer[2]), self._peak_memory() - self._idle
        return float(answer[1])

    def _peak_memory(self) -> int:
        """The most bytes the worker had in memory so far; 0 where the system does not tell."""
        status = Path(f"/proc/{self._process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def _colour(frames: int, image_size: int) -> float:
    rng = np.random.default_rng(0)
    clip = jax.device_put(rng.integers(0, 256, (frames, image_size, image_size, 3), np.uint8))
    changes = jax.device_put(draw_colour(VIDEO_AUGMENTATION, frames, rng))
    return in_turn({"colour": waiting(jax.jit(jitter), clip, changes)}, 5)["colour"]


def _throughput(folder: Path, frames: int, objects: int, image_size: int, runs: int) -> dict[str, float]:
    """Clips per second of the whole pipeline with all threads, and the memory that it keeps ahead."""
    config = DataConfig(
        (Entry(palette_folder(folder), batch_size=2, clip=ClipRule(frames, objects)),), image_size, threads=threads()
    )
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with Batches(config) as batches:
            for _ in range(1 + config.prefetch):
                next(batches)
            begin = time.perf_counter()
            for _ in range(runs):
                next(batches)
            rate = 2 * runs / (time.perf_counter() - begin)
    finally:
        cv2.setNumThreads(before)
    return {
        f"clips/s of the pipeline, {config.threads} threads": rate,
        "MB made ahead, batches of 2": batches.buffer_bytes / 1e6,
    }


def _write_videos(folder: Path, width: int, height: int) -> None:
    """Textured discs that move over a textured ground, as JPEGImages and Annotations."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for video in range(_VIDEOS):
        pictures, masks = folder / "JPEGImages" / f"video{video}", folder / "Annotations" / f"video{video}"
        pictures.mkdir(parents=True)
        masks.mkdir(parents=True)
        coarse = rng.integers(0, 256, (height // 24, width // 24, 3), np.uint8)
        ground = cv2.resize(coarse, (width + 8 * _LENGTH, height), interpolation=cv2.INTER_CUBIC)
        textures = rng.integers(0, 256, (_DISCS, height // 40, width // 40, 3), np.uint8)
        for frame in range(_LENGTH):
            picture = ground[:, 8 * frame : 8 * frame + width].copy()
            labels = np.zeros((height, width), np.uint8)
            for disc in range(_DISCS):
                middle_x, middle_y = width * (disc + 1) / (_DISCS + 1) + 5 * frame - 60, height * (0.3 + 0.1 * disc)
                inside = ((x - middle_x) / (0.08 * width)) ** 2 + ((y - middle_y) / (0.15 * height)) ** 2 < 1
                labels[inside] = disc + 1
                texture = cv2.resize(textures[disc], (width, height), interpolation=cv2.INTER_LINEAR)
                picture[inside] = texture[inside]
            Image.fromarray(picture).save(pictures / f"{frame:05d}.jpg", quality=90)
            image = Image.fromarray(labels)
            image.putpalette(palette(256).tobytes())
            image.save(masks / f"{frame:05d}.png")
