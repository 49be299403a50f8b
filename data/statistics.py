# SPDX-License-Identifier: Apache-2.0
"""What a source holds, in the columns of Table 3: videos, duration, masklets, masks, frames, disappearance rate.

In: a source. Out: counts that can be added up. Masks are counted by their areas, so none is decoded for itself.
"""

import dataclasses

import numpy as np

from data.source import Source

SMALL = 0.1  # of the frame: section E.1 tells the share of masks below it


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of one video or of many.

    Attributes:
        videos: how many.
        frames: of them.
        annotated_frames: how many of these have masks.
        masklets: objects that are in sight on at least one annotated frame.
        masks: on annotated frames, one for each object in sight.
        reappearing: masklets that are out of sight on an annotated frame and in sight on one before and one after.
        small_masks: masks that cover less than a tenth of their frame.
        width, height: pixels, summed over the videos.
    """

    videos: int = 0
    frames: int = 0
    annotated_frames: int = 0
    masklets: int = 0
    masks: int = 0
    reappearing: int = 0
    small_masks: int = 0
    width: int = 0
    height: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    @property
    def disappearance_rate(self) -> float:
        """Per cent of the masklets that disappear and come back (Table 3); NaN without masklets."""
        return 100 * self.reappearing / self.masklets if self.masklets else float("nan")


def count_video(source: Source, index: int) -> Counts:
    """The counts of one video.

    Raises:
        BrokenExample: it cannot be read.
    """
    video = source.video(index)
    areas = np.zeros((len(video.annotated), len(video.objects)), np.int64)
    for row, frame in zip(areas, video.annotated):
        row[:] = source.areas(index, frame)
    in_sight = areas > 0
    before = np.cumsum(in_sight, axis=0) > 0
    after = np.cumsum(in_sight[::-1], axis=0)[::-1] > 0
    return Counts(
        videos=1,
        frames=video.frames,
        annotated_frames=len(video.annotated),
        masklets=int(in_sight.any(axis=0).sum()),
        masks=int(in_sight.sum()),
        reappearing=int((before & after & ~in_sight).any(axis=0).sum()),
        small_masks=int((in_sight & (areas < SMALL * video.width * video.height)).sum()),
        width=video.width,
        height=video.height,
    )
