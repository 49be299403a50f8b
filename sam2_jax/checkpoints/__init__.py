# SPDX-License-Identifier: Apache-2.0
"""Weights in and out: published `.pt`, transformers' safetensors, Orbax."""

from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.checkpoints.load import export_torch, load
from sam2_jax.checkpoints.orbax import save

__all__ = ["CheckpointError", "export_torch", "load", "save"]
