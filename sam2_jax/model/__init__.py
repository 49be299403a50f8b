# SPDX-License-Identifier: Apache-2.0
"""The network of the paper's Figure 3, one file per box."""

from sam2_jax.model.sam2 import SAM2, abstract_params

__all__ = ["SAM2", "abstract_params"]
