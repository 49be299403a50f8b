# SPDX-License-Identifier: Apache-2.0
"""What a source of examples is: videos, or pictures as videos of one frame, whose objects have exact masks.

In: the number of a video, of its frames and of its objects. Out: frames as uint8 RGB and masks as bool, both at the
source's own size. Whatever reads a data set stands behind this one protocol; whatever trains or evaluates on it, in
front.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Video:
    """What is known of a video without decoding it.

    Attributes:
        name: unique in its source; names files that are written about it.
        frames: T, how many frames it has.
        height, width: pixels.
        objects: the identities of its O objects, as the source numbers them.
        annotated: the indices of the frames that have masks, ascending.
        of_video: facts about the video by name, such as ``split`` or ``environment``.
        of_objects: facts about its objects by name, O values each, such as ``edited_frames``.
    """

    name: str
    frames: int
    height: int
    width: int
    objects: tuple[int, ...]
    annotated: tuple[int, ...]
    of_video: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)
    of_objects: Mapping[str, tuple] = dataclasses.field(default_factory=dict)


class Source(Protocol):
    """Videos by number. Reading the same thing twice gives the same bytes, from any thread.

    Every method raises `BrokenExample` where a file is missing, damaged or contradicts the others, and `IndexError`
    where there is no such video, frame or object, or no masks on the frame.
    """

    name: str

    def __len__(self) -> int:
        """How many videos there are."""

    def video_name(self, index: int) -> str:
        """The name of one, as `video` tells it, without opening the video: thousands are named at once."""

    def video(self, index: int) -> Video:
        """What is known of one, without decoding its frames."""

    def frames(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """Some of its frames, (T, H, W, 3) uint8 RGB, in the order asked for."""

    def masks(self, index: int, frames: Sequence[int], objects: Sequence[int] | None = None) -> np.ndarray:
        """Masks on some of its annotated frames, (T, O, H, W) bool; an object that is not in sight has an empty one.

        Args:
            objects: which objects, as places in `Video.objects`; None for all.
        """

    def areas(self, index: int, frame: int) -> np.ndarray:
        """(O,) int64 how many pixels each object covers on an annotated frame; what a sampler asks first."""


class BrokenExample(ValueError):  # noqa: N818 (it says what is broken)
    """Data on disk that cannot be what it says; the sentence names the file and, where there is one, the frame."""
