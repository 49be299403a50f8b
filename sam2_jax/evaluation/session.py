# SPDX-License-Identifier: Apache-2.0
"""What a protocol asks of a model, and nothing more: give it prompts on a clip, and have them carried through it.

In: a `Clip`. Out: mask logits frame by frame. `model_session` is SAM 2 behind this; whatever else answers it, a tracker
or the truth itself, is evaluated by the same protocols.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import numpy as np

from sam2_jax.evaluation.clips import Clip
from sam2_jax.media.resizing import resize_logits


@dataclasses.dataclass(frozen=True)
class Tracked:
    """One frame of a pass.

    Attributes:
        frame: its index.
        logits: (O, h, w) float32, of any size; above 0 is the object.
        ious: (O,) float32 intersection over union with the truth, at the video's size, of what was tracked; NaN where
            there is no truth, where the object has not begun yet, and on frames that were prompted before the pass.
    """

    frame: int
    logits: np.ndarray
    ious: np.ndarray


class Session(Protocol):
    """A model at work on one clip. Objects do not know of each other; each begins at its own first frame of sight."""

    def give(self, kind: Literal["mask", "box"]) -> None:
        """Gives the true mask of each object on its first frame, or the box around it."""

    def click(self, frames: np.ndarray, clicks: int) -> None:
        """Clicks on one frame (O,) of each object, `NEVER` for none, at the centre of what is wrong there.

        The first click, where nothing was predicted yet, is at the centre of the true mask.
        """

    def track(self) -> Iterator[Tracked]:
        """Carries all prompts so far through the clip: each of its frames in order."""

    def track_and_pause(self, least_iou: float, most_frames: int, clicks: int) -> Iterator[Tracked]:
        """Carries the prompts on the first frames; where an object's IoU falls below the least, clicks on it there.

        Args:
            most_frames: how many frames of an object are prompted at most, the first one included. The clicks of a pass
                are forgotten when the next one begins.
        """

    def prompted(self) -> list[list[int]]:
        """The frames that each object was prompted on, in the order of the prompts."""


OpenSession = Callable[[Clip], Session]


def masks_of(logits: np.ndarray, size: tuple[int, int], overlap: bool = True) -> np.ndarray:
    """Logits (O, h, w) as masks (O, H, W) bool of the video.

    Args:
        overlap: without it a pixel is of the one object that is surest of it, the first of those equally sure.
    """
    logits = logits if logits.shape[1:] == size else resize_logits(logits, size)
    masks = logits > 0
    if not overlap and len(masks) > 1:
        masks &= np.arange(len(masks))[:, None, None] == logits.argmax(axis=0)
    return masks
