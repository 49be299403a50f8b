# SPDX-License-Identifier: Apache-2.0
"""A source in memory for tests of clips and batches: discs that move, vanish and come back over a striped ground."""

import numpy as np

from data.source import BrokenExample, Video


class MemorySource:
    """Videos of `lengths` frames, every second frame annotated, with objects that are discs.

    Object 0 is in sight on every frame, object `o` of the others only where `(frame // 2 + o) % 3` is not 0. Videos in
    `broken` cannot be read; those in `hidden` never show an object.
    """

    name = "memory"

    def __init__(self, lengths=(20, 24, 18, 30), size=(40, 56), objects=4, broken=(), hidden=(), edited=None):
        self.broken, self.hidden, self.size, self.reads = set(broken), set(hidden), size, []
        self.videos = [
            Video(
                name=f"video{number}",
                frames=length,
                height=size[0],
                width=size[1],
                objects=tuple(range(10, 10 + objects)),
                annotated=tuple(range(0, length, 2)) if length > 1 else (0,),
                of_objects={} if edited is None else {"edited_frames": edited[number]},
            )
            for number, length in enumerate(lengths)
        ]

    def __len__(self):
        return len(self.videos)

    def video(self, index):
        return self.videos[index]

    def frames(self, index, frames):
        self.reads.append(index)
        if index in self.broken:
            raise BrokenExample(f"video{index}.jpg, frame {frames[0]}, is damaged.")
        height, width = self.size
        columns = np.arange(width)[None, :, None] * 4 + np.arange(height)[:, None, None]
        return np.stack([(columns + 7 * frame + [0, 60, 120]) % 256 for frame in frames]).astype(np.uint8)

    def masks(self, index, frames, objects=None):
        objects = range(len(self.videos[index].objects)) if objects is None else objects
        return np.stack([[self._disc(index, frame, place) for place in objects] for frame in frames])

    def areas(self, index, frame):
        return self.masks(index, [frame])[0].sum(axis=(1, 2))

    def _disc(self, index, frame, place):
        height, width = self.size
        y, x = np.mgrid[:height, :width]
        if index in self.hidden or (place and (frame // 2 + place) % 3 == 0):
            return np.zeros(self.size, bool)
        middle_y, middle_x = height / 2 + 3 * place - 5, 12 + 8 * place + frame % 7
        return (y - middle_y) ** 2 + (x - middle_x) ** 2 < (4 + place) ** 2
