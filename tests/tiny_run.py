# SPDX-License-Identifier: Apache-2.0
"""A run small enough for a test: `python -m train tests/tiny_run.py:pictures` takes its steps in no time."""

from data.augmentation import PICTURE_AUGMENTATION
from data.config import DataConfig, Entry
from data.sampling import ClipRule
from data.synthetic import SyntheticPictures, SyntheticVideos
from sam2_jax.config import SAM2Config
from train.checkpoint import CheckpointConfig
from train.config import TrainConfig
from train.optimizer import OptimizerConfig
from train.prompts import SimulatedUser

MODEL = SAM2Config(
    name="tiny_run",
    embed_dim=16,
    stages=(1, 1, 1, 1),
    global_attention_blocks=(2,),
    window_sizes=(4, 4, 4, 4),
    position_embedding_size=(4, 4),
    image_size=64,
    hidden_dim=32,
    decoder_layers=1,
    decoder_heads=2,
    decoder_mlp_dim=32,
    memory_dim=16,
    memory_attention_layers=1,
    memory_attention_mlp_dim=32,
    drop_path_rate=0.0,
    memory_attention_dropout=0.0,
    attention="xla",
)
PICTURES = Entry(
    SyntheticPictures(0, 16, size=64),
    batch_size=8,
    clip=ClipRule(frames=1, objects=2, reverse=0.0),
    augmentation=PICTURE_AUGMENTATION,
)
VIDEOS = Entry(SyntheticVideos(0, 16, frames=4, size=64), batch_size=8, clip=ClipRule(frames=2, objects=2))


def get_config(kind: str) -> TrainConfig:
    """A run on ``pictures``, without a memory, or on ``videos``."""
    return TrainConfig(
        model=MODEL,
        data=DataConfig(entries=({"pictures": PICTURES, "videos": VIDEOS}[kind],), image_size=64, threads=2),
        steps=5,
        user=SimulatedUser(clicks=1),
        optimizer=OptimizerConfig(
            learning_rate=1e-3, matrices="muon", image_encoder_learning_rate=None, warmup_steps=1, clip_norm=1.0
        ),
        checkpoints=CheckpointConfig(every=2),
        log_every=1,
    )
