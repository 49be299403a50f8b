# SPDX-License-Identifier: Apache-2.0
"""Objects on the made-up video of `video_cases`, by rule: what both implementations are prompted with for VOS."""

import types

import numpy as np
from video_cases import HEIGHT, LENGTH, WIDTH

OBJECTS = (1, 2, 5)
LATE = 3  # the frame that the last object appears on


def masks() -> np.ndarray:
    """(9, 3, 90, 160) bool: three discs that move; the last one is out of sight at first, and overlaps the second."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    video = np.zeros((LENGTH, len(OBJECTS), HEIGHT, WIDTH), bool)
    for t in range(LENGTH):
        for place, (left, top, radius) in enumerate([(45, 40, 18), (95, 55, 22), (112, 48, 16)]):
            video[t, place] = (x - left - 2 * t) ** 2 + (y - top + t) ** 2 < radius**2
    video[:LATE, 2] = False
    return video


class OneVideo:
    """The video as a source; `frames` (9, 90, 160, 3) uint8."""

    name = "made_up"

    def __init__(self, frames: np.ndarray, objects: tuple[int, ...] = OBJECTS):
        self._frames, self._objects = frames, objects

    def __len__(self) -> int:
        return 1

    def video(self, index: int):
        return types.SimpleNamespace(
            name="one",
            frames=LENGTH,
            height=HEIGHT,
            width=WIDTH,
            objects=self._objects,
            annotated=tuple(range(LENGTH)),
            of_video={},
            of_objects={},
        )

    def frames(self, index, frames):
        return self._frames[list(frames)]

    def masks(self, index, frames, objects=None):
        chosen = masks()[list(frames)][:, [OBJECTS.index(number) for number in self._objects]]
        return chosen if objects is None else chosen[:, list(objects)]
