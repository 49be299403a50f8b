# SPDX-License-Identifier: Apache-2.0
"""Predicted masks as the benchmarks want them handed in.

In: the masks of a frame, (O, H, W) bool. Out: VIDEO/FRAME.png with a palette, whose values are the objects' numbers
(DAVIS, MOSE, YouTube-VOS, LVOS, VOST), or VIDEO/OBJECT/FRAME.png (SA-V). No jax.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from sam2_jax.evaluation.clips import Clip
from sam2_jax.media.files import replacing
from sam2_jax.media.masks import palette, write_mask

Layout = Literal["palette", "objects"]


def layout_of(clip: Clip) -> Layout:
    """The layout that can hold a clip's objects: a palette has room for the numbers 1 to 255."""
    return "palette" if all(0 < number < 256 for number in clip.objects) else "objects"


class MaskWriter:
    """Writes the masks of a clip, a frame at a time.

    Args:
        folder: gets a folder for the video.

    Raises:
        ValueError: a palette cannot hold the objects' numbers.
    """

    def __init__(self, folder: Path, clip: Clip, layout: Layout):
        if layout == "palette" and layout_of(clip) != "palette":
            raise ValueError(f"{clip.name} has objects numbered {clip.objects}; a palette has room for 1 to 255.")
        self._clip, self._folder, self._layout = clip, folder / clip.name, layout
        names = [f"{number:03d}" for number in clip.objects] if layout == "objects" else [""]
        self._folders = [self._folder / name for name in names]
        for path in self._folders:
            path.mkdir(parents=True, exist_ok=True)

    def __call__(self, frame: int, masks: np.ndarray) -> None:
        file = f"{self._clip.frame_name(frame)}.png"
        if self._layout == "objects":
            for path, mask in zip(self._folders, masks):
                write_mask(path / file, mask)
            return
        numbers = np.zeros(masks.shape[1:], np.uint8)
        # The lowest number is written last, and is on top where masks overlap, as in the published script.
        for place in np.argsort(self._clip.objects)[::-1]:
            numbers[masks[place]] = self._clip.objects[place]
        image = Image.fromarray(numbers, "P")
        image.putpalette(palette(256).tobytes())
        with replacing(self._folder / file) as opened:
            image.save(opened, format="PNG")
