# SPDX-License-Identifier: Apache-2.0
"""A small model learns one clip by heart: the whole of training, seen to work in minutes on a CPU.

    python -m train configs/overfit_one_clip.py --workdir DIR

A car and a tree, four made-up frames, one click each. Hardware: 2 CPU cores. Expected: J of 0.95 or more on both the
clicked frame and the tracked ones after 400 steps (``evaluation/j_first_frame`` and ``evaluation/j_tracked`` in
``metrics.jsonl``).
"""

import dataclasses

from configs.nano import HALF, NANO, OPTIMIZER
from data.augmentation import PICTURE_AUGMENTATION
from data.config import DataConfig, Entry
from data.sampling import ClipRule
from data.synthetic import SyntheticVideos
from sam2_jax.config import change
from train.checkpoint import CheckpointConfig
from train.config import TrainConfig
from train.evaluation import EvaluationConfig
from train.frame import Rematerialise
from train.prompts import SimulatedUser

CLIP = SyntheticVideos(0, 1, name="one_clip", frames=4, objects=(2, 2), in_first_frame=True)
UNCHANGED = dataclasses.replace(PICTURE_AUGMENTATION, flip=0.0)


def get_config() -> TrainConfig:
    """One clip, over and over."""
    rule = ClipRule(frames=4, objects=2, reverse=0.0)
    return TrainConfig(
        model=change(NANO, name="overfit_one_clip", image_size=HALF),
        data=DataConfig(entries=(Entry(CLIP, clip=rule, augmentation=UNCHANGED),), image_size=HALF, threads=1),
        steps=400,
        location_aware_initialization=True,
        user=SimulatedUser(mask_probability=0.0, box_probability=0.0, prompted_frames=1, corrected_frames=1, clicks=0),
        optimizer=dataclasses.replace(OPTIMIZER, warmup_steps=10, weight_decay=0.0),
        rematerialise=Rematerialise(encoder=False, memory=False, decoder=False),
        checkpoints=CheckpointConfig(every=100),
        evaluation=EvaluationConfig(CLIP, every=100, videos=1, frames=4, objects=2),
    )
