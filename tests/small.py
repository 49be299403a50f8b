# SPDX-License-Identifier: Apache-2.0
"""Models small enough for a test, with weights drawn by rule: the whole architecture, in a second."""

import functools

import numpy as np
from rule_weights import draw

from sam2_jax.checkpoints.names import from_published, published_names
from sam2_jax.config import SAM2Config, change
from sam2_jax.model import SAM2

SMALL = SAM2Config(
    name="small_for_tests",
    embed_dim=16,
    stages=(1, 1, 2, 1),
    global_attention_blocks=(2,),
    position_embedding_size=(4, 4),
    image_size=64,
    hidden_dim=32,
    decoder_heads=2,
    decoder_mlp_dim=64,
    memory_dim=16,
    memory_attention_layers=1,
    memory_attention_mlp_dim=64,
    precision="highest",  # on any device
)


@functools.cache
def rule_state(model: SAM2) -> dict[str, np.ndarray]:
    """A published state dict for the model, each tensor drawn from its name."""
    return {name: draw(name, entry.shape) for name, entry in published_names(model).items()}


def rule_params(model: SAM2) -> dict:
    return from_published(model, rule_state(model), "rule")


def small_model(**changes) -> tuple[SAM2, dict]:
    """The small model, with fields of its config changed, and its parameters."""
    model = SAM2(change(SMALL, **changes))
    return model, rule_params(model)
