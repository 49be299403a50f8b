# SPDX-License-Identifier: Apache-2.0
"""Made-up videos and pictures with exact masks: no files, as many as are wanted, the same bytes every time.

In: a seed and a number. Out: sources of examples. From the ground up: `dice` draws, `affine` places; `tiles`, `colors`,
`textures` and `surfaces` say what things are made of; `outlines`, `shapes`, `plain`, `animals`, `people`, `plants`,
`vehicles` and `made` build `bodies`; `motion`, `camera`, `lens` and `backdrops` set the scene; `plots` puts `scenes`
together, `clear` those that are easy to see, and `casting` chooses their objects; `sprites` and `stage` render them.
"""

from data.synthetic.sheets import draw_sheet
from data.synthetic.source import VERSION, ClearPictures, ClearVideos, SyntheticPictures, SyntheticVideos
from data.synthetic.splits import (
    clear_held_out_pictures,
    clear_held_out_videos,
    clear_training_pictures,
    clear_training_videos,
    held_out_pictures,
    held_out_videos,
    training_pictures,
    training_videos,
)

__all__ = [
    "VERSION",
    "ClearPictures",
    "ClearVideos",
    "SyntheticPictures",
    "SyntheticVideos",
    "clear_held_out_pictures",
    "clear_held_out_videos",
    "clear_training_pictures",
    "clear_training_videos",
    "draw_sheet",
    "held_out_pictures",
    "held_out_videos",
    "training_pictures",
    "training_videos",
]
