# SPDX-License-Identifier: Apache-2.0
"""A published model, fine-tuned on videos or pictures of your own.

    python -m train configs/finetune_own_folder.py:/data/mine --workdir DIR --set init_from=sam2.1_hiera_tiny.pt

The folder is of any layout that `data.sources` knows, such as ``JPEGImages/VIDEO/00000.jpg`` and
``Annotations/VIDEO/00000.png``. `SIZE` below is that of the model. For pictures, ``--set data.entries.0.clip.frames=1
--set evaluation.frames=1``. Hardware: one accelerator; where memory is short, ``--set model.image_size=512 --set
data.image_size=512``. Expected: the J of the folder's own first videos, written down every 500 steps, rises; hold some
out to know more. It has not been run with published weights here.
"""

from data.config import DataConfig, Entry
from data.sampling import VIDEO_RULE
from sam2_jax.config import published_config
from train.checkpoint import CheckpointConfig
from train.config import TrainConfig
from train.evaluation import EvaluationConfig
from train.optimizer import OptimizerConfig

SIZE = "tiny"


def get_config(folder: str) -> TrainConfig:
    """The folder, as `data.sources.open_source` takes it."""
    return TrainConfig(
        model=published_config(f"sam2.1_hiera_{SIZE}", dtype="bfloat16"),
        data=DataConfig(entries=(Entry(folder, batch_size=1, clip=VIDEO_RULE),)),
        steps=2000,
        init_from=f"sam2.1_hiera_{SIZE}.pt",
        optimizer=OptimizerConfig(
            learning_rate=5e-6, image_encoder_learning_rate=3e-6, warmup_steps=100, layer_decay=0.8
        ),
        checkpoints=CheckpointConfig(every=500),
        evaluation=EvaluationConfig(folder, every=500, videos=8),
    )
