# SPDX-License-Identifier: Apache-2.0
"""One example of a batch: a clip drawn, read, transformed and written to its place; another one where that fails.

In: an opened source and the position of the example in its endless stream. Out: arrays that were empty, filled. All
draws come from (seed, entry, position, attempt).
"""

import collections
import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.augmentation import OPERATIONS, draw_colour, draw_geometry
from data.config import DataConfig, Entry
from data.geometry import transform_clip
from data.sampling import most_edited_half, sample_clip
from data.source import BrokenExample, Source

Batch = dict[str, Any]
ATTEMPTS = 100  # videos tried for one example, as published

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stream:
    """An opened entry of a mixture.

    Attributes:
        number: which entry of the mixture it is.
        entry: its settings.
        source: its source.
        videos: the numbers of the videos that clips are cut out of.
        candidates: by video, the places of the objects that may be drawn; None for all of every video.
    """

    number: int
    entry: Entry
    source: Source
    videos: Sequence[int]
    candidates: Mapping[int, Sequence[int]] | None


class Report:
    """What was drawn and could not be used. Each finding is logged once and counted every time, from any thread.

    Examples that were made ahead count before they are used, and again where a run begins anew.

    Attributes:
        broken: by sentence, how often data that cannot be read was met.
        unsuitable: by source and video, how often a video had no clip: too few annotated frames, or no object in
            sight on the first one.
    """

    def __init__(self):
        self.broken: collections.Counter[str] = collections.Counter()
        self.unsuitable: collections.Counter[tuple[str, str]] = collections.Counter()
        self._lock = threading.Lock()

    def add_broken(self, error: BrokenExample) -> None:
        with self._lock:
            self.broken[str(error)] += 1
            first = self.broken[str(error)] == 1
        if first:
            _log.warning("%s Another example takes its place.", error)

    def add_unsuitable(self, source: str, video: str) -> None:
        with self._lock:
            self.unsuitable[source, video] += 1
            first = self.unsuitable[source, video] == 1
        if first:
            _log.info("%s: no clip can be cut out of %s; another video takes its place.", source, video)


def open_stream(config: DataConfig, number: int, source: Source, report: Report) -> Stream:
    """The videos and objects of a source that entry `number` of a mixture may draw.

    Raises:
        ValueError: there are none, or edited frames are asked for and not known.
        BrokenExample: edited frames are asked for, a video cannot be opened, and `config.on_error` is "raise".
    """
    entry, candidates = config.entries[number], None
    if entry.clip.most_edited_half:
        candidates = most_edited_half(source, report.add_broken if config.on_error == "skip" else None)
    videos = range(len(source)) if candidates is None else tuple(candidates)
    if not len(videos):
        raise ValueError(f"{source.name} has no videos to draw from.")
    return Stream(number, entry, source, videos, candidates)


def empty_batch(entry: Entry, image_size: int, examples: int) -> Batch:
    """The arrays of a batch, not yet filled. B is the number of examples; T, O and S are the entry's.

    Returns:
        frames: (B, T, S, S, 3) uint8.
        masks: (B, T, O, S, S) bool; empty where an object is out of sight, and for padding.
        valid: (B, O) bool, which objects there are; each of them is in sight on the first frame.
        colour: what `train.colour.jitter` does to the frames, with leading axes (B, T).
        source: (B,) int32, the number of the entry, the same in the whole batch.
        video: (B,) int64, the number of the video in its source.
        first_frame: (B,) int64, the index of the first frame in its video.
        objects: (B, O) int64 places in `Video.objects`, -1 where not valid.
    """
    batch, frames, objects, side = examples, entry.clip.frames, entry.clip.objects, image_size
    return {
        "frames": np.empty((batch, frames, side, side, 3), np.uint8),
        "masks": np.empty((batch, frames, objects, side, side), bool),
        "valid": np.empty((batch, objects), bool),
        "colour": {
            "factors": np.empty((batch, frames, 2, len(OPERATIONS)), np.float32),
            "order": np.empty((batch, frames, 2, len(OPERATIONS)), np.int32),
            "grayscale": np.empty((batch, frames), bool),
        },
        "source": np.empty(batch, np.int32),
        "video": np.empty(batch, np.int64),
        "first_frame": np.empty(batch, np.int64),
        "objects": np.empty((batch, objects), np.int64),
    }


def write_example(
    stream: Stream, config: DataConfig, position: int, video: int, batch: Batch, place: int, report: Report
) -> None:
    """Fills one place of a batch.

    Where the video has no clip, or is broken and `config.on_error` is "skip", another video of the stream is drawn.

    Args:
        stream: where examples come from.
        config: what they are like.
        position: of the example in the stream.
        video: the video whose turn it is.
        batch: from `empty_batch`.
        place: of the example in it.
        report: told of what could not be used.

    Raises:
        BrokenExample: the data is broken and `config.on_error` is "raise".
        ValueError: a hundred videos were tried in vain.
    """
    for attempt in range(ATTEMPTS):
        generator = np.random.default_rng((config.seed, stream.number, position, attempt))
        if attempt:
            video = stream.videos[generator.integers(len(stream.videos))]
        try:
            if _write_clip(stream, video, generator, batch, place):
                return
            report.add_unsuitable(stream.source.name, stream.source.video(video).name)
        except BrokenExample as error:
            if config.on_error == "raise":
                raise
            report.add_broken(error)
    rule = stream.entry.clip
    raise ValueError(
        f"None of {ATTEMPTS} videos drawn from {stream.source.name} could be used: a clip needs {rule.frames} "
        "annotated frame(s), with an object in sight on the first, that can be read."
    )


def _write_clip(stream: Stream, video: int, generator: np.random.Generator, batch: Batch, place: int) -> bool:
    """Whether there was a clip to write."""
    entry, source = stream.entry, stream.source
    candidates = None if stream.candidates is None else stream.candidates[video]
    clip = sample_clip(source, video, entry.clip, generator, candidates)
    if clip is None:
        return False
    geometry = draw_geometry(entry.augmentation, generator)
    colour = draw_colour(entry.augmentation, entry.clip.frames, generator)
    frames = source.frames(video, clip.frames)
    masks = source.masks(video, clip.frames, clip.objects)
    transform_clip(frames, masks, geometry, batch["frames"][place], batch["masks"][place])

    # A small object can vanish when it is made smaller; without a pixel to point at, it is not asked for.
    count = len(clip.objects)
    in_sight = batch["masks"][place, 0, :count].any(axis=(1, 2))
    if not in_sight.any():
        return False
    for vanished in np.flatnonzero(~in_sight):
        batch["masks"][place, :, vanished] = False
    batch["valid"][place] = False
    batch["valid"][place, :count] = in_sight
    batch["objects"][place] = -1
    batch["objects"][place, :count] = np.where(in_sight, clip.objects, -1)
    for name, values in colour.items():
        batch["colour"][name][place] = values
    batch["source"][place] = stream.number
    batch["video"][place] = video
    batch["first_frame"][place] = clip.frames[0]
    return True
