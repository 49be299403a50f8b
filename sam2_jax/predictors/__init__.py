# SPDX-License-Identifier: Apache-2.0
"""The published API over the functional core: NumPy in, NumPy out."""

from sam2_jax.predictors.image import SAM2ImagePredictor
from sam2_jax.predictors.stream import SAM2StreamPredictor, StreamMasks
from sam2_jax.predictors.video import SAM2VideoPredictor

__all__ = ["SAM2ImagePredictor", "SAM2StreamPredictor", "SAM2VideoPredictor", "StreamMasks"]
