# SPDX-License-Identifier: Apache-2.0
"""All of SAM 2's architecture in 3.5 million parameters at 256 pixels, trained on made-up data, on a CPU if need be.

    python -m train configs/nano.py:pictures --workdir DIR/pictures
    python -m train configs/nano.py:videos --workdir DIR/videos --set init_from=DIR/pictures/checkpoints/10000

Pictures come first, without a memory, and then clips, as in the paper.
"""

from data.augmentation import PICTURE_AUGMENTATION
from data.config import DataConfig, Entry
from data.sampling import ClipRule
from data.synthetic import held_out_pictures, held_out_videos, training_pictures, training_videos
from sam2_jax.config import SAM2Config, change
from train.checkpoint import CheckpointConfig
from train.config import TrainConfig
from train.evaluation import EvaluationConfig
from train.optimizer import OptimizerConfig
from train.prompts import SimulatedUser

NANO = SAM2Config(
    name="nano",
    embed_dim=32,
    num_heads=1,
    stages=(1, 2, 4, 1),
    global_attention_blocks=(4, 6),
    window_sizes=(8, 4, 8, 4),
    position_embedding_size=(8, 8),
    drop_path_rate=0.0,
    image_size=256,
    hidden_dim=128,
    decoder_heads=4,
    decoder_mlp_dim=512,
    memory_dim=64,
    memory_attention_layers=2,
    memory_attention_mlp_dim=512,
    memory_attention_dropout=0.0,
)
# A small model in few steps needs large ones, and nothing pre-trained to be careful with.
OPTIMIZER = OptimizerConfig(
    learning_rate=1e-3,
    image_encoder_learning_rate=None,
    schedule="cosine",
    warmup_steps=200,
    final_fraction=0.01,
    layer_decay=1.0,
    weight_decay=0.05,
    clip_norm=1.0,
)
# Clicks are most of the cost of a picture, and the first few teach the most.
USER = SimulatedUser(clicks=3)
PICTURES = Entry(
    training_pictures(), batch_size=4, clip=ClipRule(frames=1, objects=8), augmentation=PICTURE_AUGMENTATION
)
VIDEOS = Entry(training_videos(), weight=3.0, batch_size=2, clip=ClipRule(frames=5, objects=3))


def get_config(stage: str) -> TrainConfig:
    """The stage ``pictures`` or ``videos``."""
    if stage == "pictures":
        model = change(NANO, has_memory=False)
        entries, steps = (PICTURES,), 10_000
        evaluation = EvaluationConfig(held_out_pictures(), every=1000, videos=100, frames=1, objects=8)
    elif stage == "videos":
        model = NANO
        entries, steps = (PICTURES, VIDEOS), 10_000
        evaluation = EvaluationConfig(held_out_videos(), every=1000, videos=20, frames=8)
    else:
        raise ValueError(f"{stage!r} is no stage of configs/nano.py; expected pictures or videos.")
    return TrainConfig(
        model=model,
        data=DataConfig(entries=entries, image_size=NANO.image_size, threads=2),
        steps=steps,
        user=USER,
        optimizer=OPTIMIZER,
        checkpoints=CheckpointConfig(every=500),
        evaluation=evaluation,
        log_every=20,
    )
