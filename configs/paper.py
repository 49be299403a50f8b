# SPDX-License-Identifier: Apache-2.0
"""What the stages of the paper share (Table 12, section D.2): sizes, data, optimizer.

In: a size, by any name of it. Out: a model as it is trained, and the parts of a `TrainConfig`. The data are those of
`data.prepared.builders` in the folder that the variable PREPARED_DATA names, which may be in a bucket; else in
/data/prepared.
"""

import os

from data.augmentation import PICTURE_AUGMENTATION
from data.config import Entry
from data.sampling import PICTURE_RULE, VIDEO_RULE, ClipRule
from sam2_jax.config import SAM2Config, published_config
from train.evaluation import EvaluationConfig

PREPARED = "prepared:" + os.environ.get("PREPARED_DATA", "/data/prepared")
BATCH = 256  # clips or pictures, over all hosts
LAYER_DECAY = {"tiny": 0.8, "small": 0.8, "base_plus": 0.9, "large": 0.925}


def size_of(size: str) -> str:
    """The full name of a size: ``tiny``, ``small``, ``base_plus`` or ``large``; it knows ``b+`` and the like."""
    return published_config(f"sam2.1_hiera_{size}").name.removeprefix("sam2.1_hiera_")


def model(size: str, has_memory: bool = True) -> SAM2Config:
    """SAM 2.1 of a size, computed in bfloat16 at 1024 pixels; its drop path is the paper's."""
    return published_config(f"sam2.1_hiera_{size}", dtype="bfloat16", has_memory=has_memory)


def pictures(weight: float = 1.0, split: str = "train") -> Entry:
    """SA-1B: up to 64 masks of a picture, none of more than 90% of it; flipped, and no more."""
    source = f"{PREPARED}/sa_1b/1.0.0?split={split}"
    return Entry(source, weight, batch_size=BATCH, clip=PICTURE_RULE, augmentation=PICTURE_AUGMENTATION)


def videos(rule: ClipRule = VIDEO_RULE, open_rule: ClipRule = VIDEO_RULE) -> tuple[Entry, ...]:
    """SA-V and the open data sets, in the proportions of the mixture that has both; its 15.1% of internal data are not
    public.

    Args:
        rule: of SA-V.
        open_rule: of the others, whose edited frames nobody counted.
    """
    weights = {"sa_v": 49.5, "mose": 9.4, "youtube_vos": 9.2, "davis": 1.3}
    return tuple(
        Entry(f"{PREPARED}/{name}/1.0.0?split=train", weight, BATCH, rule if name == "sa_v" else open_rule)
        for name, weight in weights.items()
    )


# A tenth of SA-1B, as in the second stage.
PICTURE_WEIGHT, PICTURE_SPLIT = 15.5, "train[:10%]"


def evaluation() -> EvaluationConfig:
    """J on the validation split of SA-V, from one click."""
    return EvaluationConfig(f"{PREPARED}/sa_v/1.0.0?split=validation", videos=64, frames=16)
