# SPDX-License-Identifier: Apache-2.0
"""The second stage: pictures and clips of 8 frames in turn (section D.2.2, Table 12b).

    python -m train configs/full.py:base_plus --workdir DIR --set init_from=PRETRAINED/checkpoints/90000

The mixture is that of the paper with open data sets, less the internal data, which are not public. The paper does not
say where the cosine ends: here at a tenth, as in the released recipe. Hardware: in the paper, part of 256 A100 for 108
hours in all. Expected, from the paper (Table 6, with the internal data and the third stage's clips): J&F of 76.8 for B+
and 77.9 for L on SA-V val, from the mask of the first frame. It has not been run here.
"""

from configs import paper
from data.config import DataConfig
from train.checkpoint import CheckpointConfig
from train.config import TrainConfig
from train.optimizer import OptimizerConfig


def get_config(size: str = "base_plus") -> TrainConfig:
    """``tiny``, ``small``, ``base_plus`` or ``large``."""
    size = paper.size_of(size)
    return TrainConfig(
        model=paper.model(size),
        data=DataConfig(entries=(paper.pictures(paper.PICTURE_WEIGHT, paper.PICTURE_SPLIT), *paper.videos())),
        steps=150_000,
        optimizer=OptimizerConfig(
            learning_rate=3e-4,
            image_encoder_learning_rate=6e-5,
            schedule="cosine",
            warmup_steps=7500,
            layer_decay=paper.LAYER_DECAY[size],
        ),
        checkpoints=CheckpointConfig(every=1000, keep_every=10_000),
        evaluation=paper.evaluation(),
    )
