# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.inspect_data SPEC|CONFIG --out DIR`: what a source holds, and what the model is fed of it.

In: a source as `data.sources.open_source` names it, or a file of configs/. Out: for each source a contact sheet of
clips as they enter the model, with masks and a user's first prompts, and counts in the columns of Table 3.
"""

import dataclasses
import json as json_format
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from rich.progress import track
from rich.table import Table

from data.augmentation import PICTURE_AUGMENTATION
from data.config import DataConfig, Entry
from data.examples import Batch
from data.pipeline import Batches
from data.sampling import PICTURE_RULE, VIDEO_RULE
from data.source import BrokenExample, Source, Video
from data.sources import open_source
from data.statistics import Counts, count_video
from sam2_jax.media import resize_mask, write_picture
from sam2_jax.media.overlays import contact_sheet, object_color, overlay
from scripts.command import console, output_folder, run

_THREADS = 8
_CELL, _PICTURE_CELL = 256, 384  # pixels on the sheet

Override = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")]


def inspect_data(
    source: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SPEC|CONFIG")]],
    out: Path,
    n: int = 8,
    frames: int = VIDEO_RULE.frames,
    objects: int | None = None,
    image_size: int = 1024,
    seed: int = 0,
    set: Override = (),
    count: int | None = None,
    frame_rate: float | None = None,
    json: bool = False,
    overwrite: bool = False,
) -> None:
    """Shows what the model is fed, and counts what a source holds.

    Args:
        source: A source, such as KIND:FOLDER, or a Python file of configs/, whose every source is shown.
        out: The folder for sheet_NUMBER.png, one for each source, and counts.json.
        n: How many clips are on a sheet.
        frames: The frames of a clip, where a source of videos is given.
        objects: At most so many objects in a clip, where a source is given; without it 3 of videos, 64 of pictures.
        image_size: The side of the frames, where a source is given.
        seed: What the clips are drawn from, where a source is given.
        set: Change a field of the config, such as data.image_size=512. Can be repeated.
        count: Count in this many videos of each source alone; in all of them without it.
        frame_rate: Frames per second, for the duration; sources do not know it.
        json: Print the counts as JSON.
        overwrite: Replace the results of an earlier run.
    """
    if n < 1 or (count is not None and count < 1):
        raise ValueError(f"--n and --count are at least 1, but {n} and {count} came.")
    if source.partition(":")[0].endswith(".py"):
        from train.__main__ import load_config  # it loads all of training
        from train.overrides import with_overrides

        config = with_overrides(load_config(source), set).data
    elif set:
        raise ValueError("--set changes a config, but a source came; see --frames, --objects, --image-size and --seed.")
    else:
        config = _config_of(open_source(source), frames, objects, image_size, seed)
    cv2.setNumThreads(1)  # the pipeline's threads take one example each
    # With equal weights, the first batches are one from each source, and its first clips are those of the training.
    entries = tuple(dataclasses.replace(entry, batch_size=n, weight=1.0) for entry in config.entries)
    config = dataclasses.replace(config, entries=entries, prefetch=1, on_error="skip")
    sheets = [f"sheet_{number}.png" for number in range(len(entries))]
    folder = output_folder(out, [*sheets, "counts.json"], overwrite)

    rows = []
    with Batches(config) as batches:
        for _ in entries:
            with console.status("making clips"):
                batch = next(batches)
            stream = batches.streams[batch["source"][0]]
            write_picture(folder / sheets[stream.number], sheet(batch, stream.source))
            rows.append({"source": stream.source.name, **_counts(stream.source, count, frame_rate)})
    text = json_format.dumps(rows, indent=2)
    (folder / "counts.json").write_text(text + "\n")
    if json:
        print(text)
    console.print(_table(rows))
    console.print(f"{', '.join(sheets)} and counts.json are in {folder}", soft_wrap=True)


def sheet(batch: Batch, source: Source) -> np.ndarray:
    """The clips of a batch under each other, as the model sees them; on first frames, a box and a click an object.

    Returns:
        uint8 (H, W, 3).
    """
    import jax

    from sam2_jax.clicks import box, uniform_click
    from train.colour import jitter

    pictures, captions = [], []
    count, length, size = batch["frames"].shape[:3]
    side = min(size, _PICTURE_CELL if length == 1 else _CELL)
    points, _ = uniform_click(jax.random.key(0), batch["masks"][:, 0])
    # Clicks and boxes are of pixels; drawn, they go through the pixels' middles.
    points = (np.asarray(points) + 0.5) * side / size
    boxes = (np.asarray(box(batch["masks"][:, 0])).reshape(count, -1, 4) + 0.5) * side / size
    for clip in range(count):
        colour = {name: values[clip] for name, values in batch["colour"].items()}
        frames = np.rint(jitter(batch["frames"][clip], colour)).astype(np.uint8)
        there = np.flatnonzero(batch["valid"][clip])
        colors = np.array([object_color(place) for place in there])
        for time, frame in enumerate(frames):
            prompts = dict(points=points[clip, there], boxes=boxes[clip, there]) if time == 0 else {}
            small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
            masks = np.array([resize_mask(mask, side) for mask in batch["masks"][clip, time, there]])
            pictures.append(overlay(small, masks, colors, **prompts))
            name = source.video(int(batch["video"][clip])).name
            captions.append(f"{name}, frame {batch['first_frame'][clip]}" if time == 0 else f"{time + 1} of {length}")
    return contact_sheet(pictures, length if length > 1 else None, captions)


def _config_of(source: Source, frames: int, objects: int | None, image_size: int, seed: int) -> DataConfig:
    if _first_video(source).frames == 1:
        entry = Entry(source, clip=PICTURE_RULE, augmentation=PICTURE_AUGMENTATION)
    else:
        entry = Entry(source, clip=dataclasses.replace(VIDEO_RULE, frames=frames))
    if objects is not None:
        entry = dataclasses.replace(entry, clip=dataclasses.replace(entry.clip, objects=objects))
    return DataConfig((entry,), image_size, seed)


def _first_video(source: Source) -> Video:
    """The first that is not broken; the error of the last where all are."""
    for index in range(len(source)):
        try:
            return source.video(index)
        except BrokenExample as error:
            broken = error
    raise broken


def _counts(source: Source, count: int | None, frame_rate: float | None) -> dict[str, int | float | None]:
    videos = range(len(source) if count is None else min(count, len(source)))
    total, broken = Counts(), 0

    def count_one(index: int) -> Counts | BrokenExample:
        try:
            return count_video(source, index)
        except BrokenExample as error:
            return error

    with ThreadPoolExecutor(_THREADS) as threads:
        for one in track(threads.map(count_one, videos), "counting", len(videos), console=console, transient=True):
            if isinstance(one, Counts):
                total += one
            else:
                console.print(str(one), soft_wrap=True)
                broken += 1
    rate = total.disappearance_rate
    return {
        "videos": total.videos,
        "broken_videos": broken,
        "hours": None if frame_rate is None else round(total.frames / frame_rate / 3600, 3),
        "masklets": total.masklets,
        "masks": total.masks,
        "frames": total.frames,
        "annotated_frames": total.annotated_frames,
        "disappearance_rate": None if np.isnan(rate) else round(rate, 1),
        "mean_width": round(total.width / max(1, total.videos)),
        "mean_height": round(total.height / max(1, total.videos)),
        "masks_below_a_tenth": round(total.small_masks / max(1, total.masks), 3),
    }


def _table(rows: list[dict]) -> Table:
    names = [name for name in rows[0] if name != "source"]
    table = Table("", *(row["source"] for row in rows))
    for name in names:
        table.add_row(name.replace("_", " "), *("-" if row[name] is None else f"{row[name]:,}" for row in rows))
    return table


if __name__ == "__main__":
    run(inspect_data)
