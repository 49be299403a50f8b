# SPDX-License-Identifier: Apache-2.0
"""The first stage: pictures of SA-1B (section D.2.1, Table 12a).

    python -m train configs/pretrain.py:base_plus --workdir DIR --set init_from=mae_hiera_base_plus_224.pth

The image encoder begins with masked auto-encoding's weights, as Hiera's authors publish them. The model has no memory
yet; the second stage begins with a new one. Hardware: in the paper, part of 256 A100 for 108 hours in all; each batch
is divided over whatever devices there are, and may be taken in parts (``optimizer.microbatches``). Expected, from the
paper (Table 5, B+ trained on SA-1B): mIoU of 58.9 after one click and 81.7 after five on 23 data sets. It has not been
run here.
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
        model=paper.model(size, has_memory=False),
        data=DataConfig(entries=(paper.pictures(),)),
        steps=90_000,
        optimizer=OptimizerConfig(
            learning_rate=4e-4,
            image_encoder_learning_rate=None,
            schedule="reciprocal_sqrt",
            timescale=1000,
            warmup_steps=1000,
            cooldown_steps=5000,
            layer_decay=paper.LAYER_DECAY[size],
        ),
        checkpoints=CheckpointConfig(every=1000, keep_every=10_000),
    )
