# SPDX-License-Identifier: Apache-2.0
"""Made-up videos and pictures with exact masks: no files, as many as are wanted, the same bytes every time.

In: a seed and a number. Out: sources of examples. From the ground up: `dice` draws, `affine` places; `tiles`, `colors`,
`textures` and `surfaces` say what things are made of; `outlines`, `shapes`, `plain`, `animals`, `people`, `plants`,
`vehicles` and `made` build `bodies`; `motion`, `camera`, `lens` and `backdrops` set the scene; `plots` puts `scenes`
together and `casting` chooses their objects; `sprites` and `stage` render them.
"""

from data.synthetic.sheets import draw_sheet
from data.synthetic.source import VERSION, SyntheticPictures, SyntheticVideos
from data.synthetic.splits import held_out_pictures, held_out_videos, training_pictures, training_videos

__all__ = [
    "VERSION",
    "SyntheticPictures",
    "SyntheticVideos",
    "draw_sheet",
    "held_out_pictures",
    "held_out_videos",
    "training_pictures",
    "training_videos",
]
