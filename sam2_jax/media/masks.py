# SPDX-License-Identifier: Apache-2.0
"""Masks in and out of files, the colours of indexed ones, and small regions removed.

In: mask files, and masks or their logits (..., H, W) in NumPy. Out: bool (H, W) masks, 8-bit grey PNG files, logits of
the same shape.
"""

import os
import pathlib

import cv2
import numpy as np
from PIL import Image

from sam2_jax.media.files import replacing
from sam2_jax.media.pictures import load_image
from sam2_jax.media.resizing import check_planes


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """A mask file as bool (H, W): where there is an object, whichever.

    Grey and palette pictures (1 to 16 bits): every value but 0 is object. Pictures with colours: every colour but
    black. With an alpha channel, only what is not fully transparent. The EXIF orientation is applied, as in
    `read_picture`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no picture or is damaged; or it is a JPEG, whose noise would count as object.
    """
    image = load_image(path)
    if image.format in ("JPEG", "MPO"):
        raise ValueError(f"{path} is a JPEG, whose noise would be read as object: a mask is a PNG.")
    if image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        values = np.asarray(image)
        return (values[..., :3] > 0).any(axis=-1) & (values[..., 3] > 0)
    values = np.asarray(image if len(image.getbands()) == 1 else image.convert("RGB"))
    return values != 0 if values.ndim == 2 else (values > 0).any(axis=-1)


def write_mask(path: str | os.PathLike, mask: np.ndarray) -> None:
    """Write a mask (H, W) as an 8-bit grey PNG, 0 background and 255 object. The file appears whole or not at all.

    Raises `ValueError` where the path does not end in .png or the mask is not one (see `as_masks`), and
    `FileNotFoundError` where the folder does not exist.
    """
    if pathlib.Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path} must end in .png: a mask is written as PNG.")
    mask = as_masks(mask)
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"A mask to write has the shape (H, W), but {mask.shape} came.")
    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    with replacing(path) as file:
        image.save(file, format="PNG")


def as_masks(masks: np.ndarray) -> np.ndarray:
    """Masks of any shape as bool; numbers are taken where all are 0 or 1, as the published predictors return them.

    Raises `ValueError` for other numbers: logits, probabilities and 0..255 need a threshold that the caller knows.
    """
    masks = np.asarray(masks)
    if masks.dtype == bool:
        return masks
    objects = masks == 1
    if not (objects | (masks == 0)).all():
        raise ValueError(f"Masks are bool, or 0 and 1, but {masks.dtype} with other values came: compare with > 0.")
    return objects


def remove_small_regions(
    logits: np.ndarray,
    threshold: float,
    max_hole_area: float = 0,
    max_sprinkle_area: float = 0,
    margin: float = 10.0,
) -> np.ndarray:
    """Mask logits without small holes and small specks.

    Regions are 8-connected. A region of background (logits <= threshold) of at most `max_hole_area` pixels gets
    threshold + margin; one of foreground of at most `max_sprinkle_area` pixels gets threshold - margin. Both are sought
    in the logits that came, as in the published package: a speck in a hole is removed though the hole is filled. An
    area of 0 turns its half off.

    Args:
        logits: (..., h, w), of any floating type; not modified.
        threshold: above it is foreground.
        max_hole_area: pixels of the logits' own grid.
        max_sprinkle_area: pixels of the logits' own grid.
        margin: how sure the new logits are; 10 for pictures and 0.1 for videos, as published.

    Returns:
        A new array of the same shape and type.

    Raises:
        ValueError: a side of the logits is below 1.
    """
    result = np.array(logits)
    check_planes(result)
    for index in np.ndindex(result.shape[:-2]):
        plane = result[index]
        foreground = plane > threshold
        if max_hole_area > 0:
            plane[_small_regions(~foreground, max_hole_area)] = threshold + margin
        if max_sprinkle_area > 0:
            plane[_small_regions(foreground, max_sprinkle_area)] = threshold - margin
    return result


def palette(count: int) -> np.ndarray:
    """The colours of the PASCAL VOC and DAVIS mask files: uint8 (count, 3) RGB, black first.

    The bits of an index are dealt to red, green and blue in turn, and each colour takes its bits from the highest
    down.
    """
    indices = np.arange(count)
    colors = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (indices >> (3 * bit + channel) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def _small_regions(regions: np.ndarray, max_area: float) -> np.ndarray:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(regions.astype(np.uint8), connectivity=8)
    small = statistics[:, cv2.CC_STAT_AREA] <= max_area
    small[0] = False  # what is no region
    return small[labels]
