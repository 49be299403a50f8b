# SPDX-License-Identifier: Apache-2.0
"""Attention: one function, the ways to compute it, and the choice between them."""

from sam2_jax.model.attention.dispatch import attention
from sam2_jax.model.attention.multi_head import Attention
from sam2_jax.model.attention.tiled import largest_divisor, use_cpu_tiling

__all__ = ["Attention", "attention", "largest_divisor", "use_cpu_tiling"]
