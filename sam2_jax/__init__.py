# SPDX-License-Identifier: Apache-2.0
"""SAM 2 in JAX: promptable segmentation of any object in images and videos.

Every public name is here. Each is imported when it is first used, so that reading pictures does not load JAX.
"""

import importlib

_HOMES = {
    "SAM2": "sam2_jax.model",
    "SAM2Config": "sam2_jax.config",
    "published_config": "sam2_jax.config",
    "PUBLISHED": "sam2_jax.config",
    "load": "sam2_jax.checkpoints",
    "save": "sam2_jax.checkpoints",
    "export_torch": "sam2_jax.checkpoints",
    "CheckpointError": "sam2_jax.checkpoints",
    "FrameFeatures": "sam2_jax.types",
    "Prompts": "sam2_jax.types",
    "Label": "sam2_jax.types",
    "encode_frames": "sam2_jax.segmentation",
    "decode_image": "sam2_jax.segmentation",
    "segment_image": "sam2_jax.segmentation",
    "segment_video": "sam2_jax.tracking",
    "pad_videos": "sam2_jax.media",
    "track_frame": "sam2_jax.tracking",
    "empty_memory": "sam2_jax.memory_bank",
    "MemoryBank": "sam2_jax.memory_bank",
    "MaskPrediction": "sam2_jax.types",
    "SAM2ImagePredictor": "sam2_jax.predictors",
    "SAM2VideoPredictor": "sam2_jax.predictors",
    "SAM2StreamPredictor": "sam2_jax.predictors",
    "SessionLimits": "sam2_jax.session",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sam2_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
