# SPDX-License-Identifier: Apache-2.0
"""The published API over the functional core: NumPy in, NumPy out."""

from sam2_jax.predictors.image import SAM2ImagePredictor

__all__ = ["SAM2ImagePredictor"]
