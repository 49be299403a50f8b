# SPDX-License-Identifier: Apache-2.0
"""What scores mean something beside: masks through a video without any model.

In: a `Clip`, whose objects are given their true masks on their first frames. Out: masks (O, H, W) bool frame by frame,
for `vos.score_masks`. No jax.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.session import masks_of

_BINS = 16  # of each channel
_BLUR = 1.5  # bins over which a colour counts, Gaussian
_SMOOTH = 0.006  # of the frame's diagonal, over which pixels are taken together


def copy_first_mask(clip: Clip, overlap: bool = False) -> Iterator[np.ndarray]:
    """Each object stays where it was first seen."""
    given = _first_masks(clip)
    for frame in range(clip.length):
        yield masks_of(np.where(_begun(clip, frame), 2.0 * given - 1, -1).astype(np.float32), clip.size, overlap)


def match_colours(clip: Clip, overlap: bool = False) -> Iterator[np.ndarray]:
    """Each pixel is of the object whose first mask has more of its colour, for its size, than what was around it."""
    given = _first_masks(clip)
    likelier = [
        _likelier_colours(clip.frames([start])[0], mask)
        for start, mask in zip(clip.starts.tolist(), given, strict=True)
    ]
    sigma = _SMOOTH * float(np.hypot(*clip.size))
    for frame in range(clip.length):
        colours = tuple(np.moveaxis(_bins(clip.frames([frame])[0]), -1, 0))
        logits = np.stack([cv2.GaussianBlur(table[colours], (0, 0), sigma) for table in likelier])
        masks = masks_of(np.where(_begun(clip, frame), logits, -np.inf), clip.size, overlap)
        first = frame == clip.starts
        masks[first] = given[first]
        yield masks


BASELINES: dict[str, Callable[[Clip, bool], Iterator[np.ndarray]]] = {
    "first-mask": copy_first_mask,
    "colours": match_colours,
}


def _first_masks(clip: Clip) -> np.ndarray:
    return np.stack([clip.truth(start)[place] for place, start in enumerate(clip.starts.tolist())])


def _begun(clip: Clip, frame: int) -> np.ndarray:
    return (frame >= clip.starts)[:, None, None]


def _bins(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.int32) * _BINS // 256


def _likelier_colours(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(bins, bins, bins) float32: how much likelier a colour is on the object than off it, as a logarithm."""
    sides = []
    for of_side in (mask, ~mask):
        counts = np.zeros((_BINS,) * 3, np.float32)
        np.add.at(counts, tuple(_bins(picture[of_side]).T), 1)
        for axis in range(3):
            rows = np.moveaxis(counts, axis, 0).reshape(_BINS, -1)
            rows = cv2.GaussianBlur(rows, (1, 0), sigmaX=1e-6, sigmaY=_BLUR, borderType=cv2.BORDER_CONSTANT)
            counts = np.moveaxis(rows.reshape(_BINS, _BINS, _BINS), 0, axis)
        sides.append((counts + 1e-3) / (counts + 1e-3).sum())
    return np.log(sides[0] / sides[1])
