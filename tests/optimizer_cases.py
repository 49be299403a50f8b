# SPDX-License-Identifier: Apache-2.0
"""What the published optimizer was recorded with (`recorded/make_optimizer.py`), for both sides of the comparison."""

import numpy as np
from rule_weights import draw

WHERE = (0.0, 0.25, 0.5, 0.99)  # fractions of the run

# One of each kind: decayed or not, in and outside the image encoder, deep and shallow, of every norm class.
STEPPED = (
    "image_encoder.trunk.pos_embed",
    "image_encoder.trunk.patch_embed.proj.bias",
    "image_encoder.trunk.blocks.0.norm1.weight",
    "image_encoder.trunk.blocks.3.attn.proj.weight",
    "image_encoder.neck.convs.3.conv.weight",
    "memory_encoder.fuser.layers.0.gamma",
    "memory_encoder.fuser.layers.0.norm.weight",
    "memory_attention.layers.0.norm1.weight",
    "sam_mask_decoder.iou_token.weight",
    "sam_mask_decoder.output_upscaling.1.weight",
    "sam_mask_decoder.transformer.norm_final_attn.weight",
    "maskmem_tpos_enc",
)
STEPPED_FACTOR = 1000  # on the learning rates, for those steps alone


def gradient(name: str, shape: tuple[int, ...], step: int) -> np.ndarray:
    """Made-up gradients: long enough to be clipped in the first two steps, and too short for it in the third."""
    return draw(f"gradient/{step}/{name}", shape) * np.float32(1e-6 if step == 2 else 0.05)
