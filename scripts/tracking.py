# SPDX-License-Identifier: Apache-2.0
"""What the commands for videos share: carry prompts through a session, forward and back, and draw what came of it.

In: a predictor and a session with prompts. Out: masks by frame, a bit a pixel, so that a video's fit in memory; rows of
scores; an overlay to watch.
"""

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2_jax.media.overlays import overlay
from sam2_jax.media.videos import Video, VideoWriter
from scripts.command import console


def track(predictor, state, length: int, first: int = 0) -> tuple[dict[int, np.ndarray], list[dict[str, Any]]]:
    """Carries all prompts of a session from a frame on to both ends of the video, behind a progress bar.

    Returns:
        By frame, masks (O, H, W / 8) uint8, for `unpack`; and what the model says of each object on each frame.
    """
    masks, rows = {}, []
    columns = TextColumn("tracking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}")
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=length, rate="")
        for reverse in (False, True):
            answers = predictor.propagate_in_video(state, first, reverse=reverse, return_scores=True)
            for frame, ids, logits, scores in answers:
                if frame in masks:
                    continue
                masks[frame] = np.packbits(logits[:, 0] > 0, axis=-1)
                for row, obj_id in enumerate(ids):
                    values = {name: round(float(value[row]), 4) for name, value in scores.items()}
                    rows.append(dict(frame=frame, object=obj_id, **values))
                speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
                progress.update(task, advance=1, rate=f"{speed:.2f} frames/s" if speed else "")
    return masks, sorted(rows, key=lambda row: (row["frame"], row["object"]))


def unpack(masks: np.ndarray, width: int) -> np.ndarray:
    """Masks (O, H, W / 8) uint8 of `track` as (O, H, W) bool."""
    return np.unpackbits(masks, axis=-1, count=width).view(bool)


def write_overlay(path: Path, video: Video, masks: dict[int, np.ndarray]) -> None:
    """The video with its masks drawn over it."""
    with VideoWriter(path, video.frames_per_second or 24, video.height, video.width) as writer:
        for index, picture in enumerate(video):
            writer.write(overlay(picture, unpack(masks[index], video.width)))
