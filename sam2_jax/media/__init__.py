# SPDX-License-Identifier: Apache-2.0
"""Pictures, masks and videos in and out of files, resizes on the host, and pictures to look at; nothing here loads jax.

Pictures, masks and resizes are imported from here; videos and overlays, which load more, from their own files.
"""

from sam2_jax.media.masks import as_masks, palette, read_mask, remove_small_regions, write_mask
from sam2_jax.media.pictures import MAXIMUM_PIXELS, read_picture, write_picture
from sam2_jax.media.resizing import pad_videos, resize_frame, resize_logits, resize_mask, resize_picture

__all__ = [
    "MAXIMUM_PIXELS",
    "as_masks",
    "pad_videos",
    "palette",
    "read_mask",
    "read_picture",
    "remove_small_regions",
    "resize_frame",
    "resize_logits",
    "resize_mask",
    "resize_picture",
    "write_mask",
    "write_picture",
]
