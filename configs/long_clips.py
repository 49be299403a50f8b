# SPDX-License-Identifier: Apache-2.0
"""The third stage: clips of 16 frames of what was hard to annotate (section D.2.2, "Fine-tuning using 16-frame
sequences").

    python -m train configs/long_clips.py:base_plus --workdir DIR --set init_from=FULL/checkpoints/150000

A third of the second stage's steps, half its learning rates, the image encoder frozen. Of SA-V the half of the
masklets that was edited on the most frames, of the open data sets everything. Warm-up is a third of the second stage's
too, and pictures stay in the mixture; the paper says neither. Hardware: as for the second stage. Expected, from the
paper: better tracking in long videos. It has not been run here.
"""

import dataclasses

from configs import full, paper
from data.sampling import LONG_VIDEO_RULE
from train.config import TrainConfig


def get_config(size: str = "base_plus") -> TrainConfig:
    """``tiny``, ``small``, ``base_plus`` or ``large``."""
    before = full.get_config(size)
    everything = dataclasses.replace(LONG_VIDEO_RULE, most_edited_half=False)
    pictures = before.data.entries[0]
    return dataclasses.replace(
        before,
        data=dataclasses.replace(before.data, entries=(pictures, *paper.videos(LONG_VIDEO_RULE, everything))),
        steps=before.steps // 3,
        optimizer=dataclasses.replace(
            before.optimizer,
            learning_rate=before.optimizer.learning_rate / 2,
            image_encoder_learning_rate=before.optimizer.image_encoder_learning_rate / 2,
            warmup_steps=before.optimizer.warmup_steps // 3,
            frozen=("image_encoder.*",),
        ),
    )
