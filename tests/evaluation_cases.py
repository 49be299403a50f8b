# SPDX-License-Identifier: Apache-2.0
"""A made-up source of videos for the tests of evaluation, and things that stand behind a session without a model."""

import types

import numpy as np

from sam2_jax.evaluation.j_and_f import jaccard
from sam2_jax.evaluation.session import Tracked

HEIGHT, WIDTH = 48, 80


class Discs:
    """Videos of discs that wander; the last object of each appears late, the second is hidden for a while."""

    name = "discs"

    def __init__(self, count: int = 3, length: int = 11, broken: tuple[int, ...] = (), every: int = 1):
        self.count, self.length, self.broken, self.every = count, length, broken, every

    def __len__(self) -> int:
        return self.count

    def video_name(self, index: int) -> str:
        return f"disc_{index}"

    def video(self, index: int):
        if index in self.broken:
            raise ValueError(f"The file of video {index} is damaged.")
        return types.SimpleNamespace(
            name=self.video_name(index),
            frames=self.length,
            height=HEIGHT,
            width=WIDTH,
            objects=(3, 5, 9),
            annotated=tuple(range(0, self.length, self.every)),
            of_video={"weather": ("rain", "sun")[index % 2]},
            of_objects={"colour": ("red", "blue", "red")},
        )

    def masks(self, index, frames, objects=None):
        rng = np.random.default_rng(index)
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        places, speeds = rng.uniform(12, [[WIDTH - 12, HEIGHT - 12]] * 3), rng.uniform(-1.5, 1.5, (3, 2))
        masks = np.zeros((len(frames), 3, HEIGHT, WIDTH), bool)
        for row, frame in enumerate(frames):
            for which in range(3):
                hidden = (which == 1 and frame in (4, 5)) or (which == 2 and frame < 3)
                left, top = places[which] + speeds[which] * frame
                disc = ((x - left) ** 2 + (y - top) ** 2 < 8**2) & (not hidden)
                masks[row, which] = disc & ~masks[row, :which].any(0)
        return masks if objects is None else masks[:, list(objects)]

    def frames(self, index, frames):
        colors = np.array([[220, 40, 40], [40, 60, 220], [200, 30, 60]])
        pictures = np.random.default_rng(index).integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
        pictures = np.repeat(pictures[None], len(frames), axis=0)
        for picture, masks in zip(pictures, self.masks(index, frames)):
            for mask, color in zip(masks, colors):
                picture[mask] = color
        return pictures


class Answers:
    """A session that gives what `answer` makes of each true mask, on each frame from the object's first one on."""

    def __init__(self, answer, clip):
        self.answer, self.clip = answer, clip
        self.clicked = [[] for _ in clip.objects]
        self.paused = [[] for _ in clip.objects]

    def give(self, kind):
        self.click(self.clip.starts, 0)

    def click(self, frames, clicks):
        for frame, given in zip(frames, self.clicked):
            if frame >= 0:
                given.append(int(frame))

    def track(self):
        self.paused = [[] for _ in self.clicked]
        for frame in range(self.clip.length):
            truth = self._truth(frame)
            masks = self.answer(truth) & (frame >= self.clip.starts)[:, None, None]
            ious = jaccard(truth, masks) if frame in self.clip.places else np.full(len(truth), np.nan)
            yield Tracked(frame, np.where(masks, 10.0, -10.0).astype(np.float32), ious)

    def track_and_pause(self, least_iou, most_frames, clicks):
        for tracked in self.track():
            for row, iou in enumerate(tracked.ious):
                budget = len(self.clicked[row]) + len(self.paused[row]) < most_frames
                if budget and tracked.frame > self.clip.starts[row] and iou < least_iou:
                    self.paused[row].append(tracked.frame)
            yield tracked

    def prompted(self):
        return [given + paused for given, paused in zip(self.clicked, self.paused)]

    def _truth(self, frame):
        nearest = max(known for known in self.clip.annotated if known <= frame)
        return self.clip.truth(nearest)
