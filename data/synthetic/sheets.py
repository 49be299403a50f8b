# SPDX-License-Identifier: Apache-2.0
"""Sheets to look at a source: videos as rows of frames, or pictures, with the outlines of their masks.

In: a source of examples. Out: one picture, uint8 (H, W, 3) RGB.
"""

from collections.abc import Sequence

import numpy as np

from data.source import Source
from sam2_jax.media.overlays import contact_sheet, overlay


def draw_sheet(
    source: Source, indices: Sequence[int], columns: int = 8, alpha: float = 0.25, outlined: int = 1
) -> np.ndarray:
    """One row for each video, of `columns` frames from its first to its last; pictures fill the rows one by one.

    Args:
        alpha: opacity of the masks.
        outlined: every so many-th frame shows its masks, the others as they are.
    """
    cells, captions = [], []
    for index in indices:
        video = source.video(index)
        chosen = np.linspace(0, video.frames - 1, min(columns, video.frames)).round().astype(int).tolist()
        pictures, masks = source.frames(index, chosen), source.masks(index, chosen)
        for place, frame in enumerate(chosen):
            shown = overlay(pictures[place], masks[place], alpha=alpha) if place % outlined == 0 else pictures[place]
            cells.append(shown)
            captions.append(f"{index} / {frame}" if video.frames > 1 else f"{index}: {len(masks[place])} objects")
    return contact_sheet(cells, columns=columns, captions=captions)
