# SPDX-License-Identifier: Apache-2.0
"""Flip, rotation, shear, resize and mosaic of a clip's frames and masks, on the host.

In: frames and masks at their source's size, a `Geometry`. Out: the square arrays that the model is fed. A mask goes
the published way, to the pixel but for rounding: nearest neighbours through flip, rotation and shear at its own size,
then resizes that are bilinear with antialias, each followed by rounding. OpenCV takes the place of Pillow where it
computes the same; each mask is worked on only where its object is.
"""

import dataclasses
import math

import cv2
import numpy as np
from PIL import Image

from data.augmentation import Geometry

FILL = (123, 116, 103)  # what a rotated frame leaves open: the mean colour of ImageNet


def transform_clip(
    frames: np.ndarray, masks: np.ndarray, geometry: Geometry, frames_out: np.ndarray, masks_out: np.ndarray
) -> bool:
    """Writes a clip, transformed, into arrays that are there already.

    Rotation and shear are given up where one of the objects would be out of sight on the first frame.

    Args:
        frames: (T, H, W, 3) uint8.
        masks: (T, O, H, W) bool.
        geometry: what to do.
        frames_out: (T, S, S, 3) uint8, overwritten.
        masks_out: (T, at least O, S, S) bool, overwritten; what is over O becomes empty.

    Returns:
        Whether rotation and shear took place.
    """
    height, width = frames.shape[1:3]
    size = frames_out.shape[1]
    turned = bool(geometry.angle or geometry.shear)
    matrix = _inverse_matrix(geometry, height, width)
    if turned and not all(_warp_mask(mask, matrix)[0].any() for mask in masks[0]):
        geometry, turned = dataclasses.replace(geometry, angle=0.0, shear=0.0), False

    masks_out[:] = False
    for time, (frame, frame_masks) in enumerate(zip(frames, masks)):
        if turned:
            frame = cv2.warpAffine(
                frame, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=FILL
            )
        frame = resize_frame(frame, size, size)
        if geometry.flip and not turned:
            frame = cv2.flip(frame, 1)
        frames_out[time] = frame if geometry.quadrant is None else _tile(frame)
        for place, mask in enumerate(frame_masks):
            if turned:
                mask, left, top = _warp_mask(mask, matrix)
            else:
                mask, left, top = _crop(mask)
                if geometry.flip:
                    mask, left = mask[:, ::-1], width - left - mask.shape[1]
            plane = masks_out[time, place]
            if geometry.quadrant is None:
                _resize_mask(mask, left, top, (height, width), plane)
            else:
                whole = np.zeros((size, size), bool)
                _resize_mask(mask, left, top, (height, width), whole)
                rows, columns = (_half(size, part) for part in geometry.quadrant)
                _resize_mask(*_crop(whole), (size, size), plane[rows, columns])
    return turned


def resize_frame(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame (H, W, 3) uint8 at another size: bilinear, with antialias along an axis that shrinks.

    As Pillow's, to one grey level; OpenCV, which has no antialias, does the axes that grow, several times faster.
    """
    smaller = min(width, frame.shape[1]), min(height, frame.shape[0])
    if smaller != (frame.shape[1], frame.shape[0]):
        frame = np.asarray(Image.fromarray(frame).resize(smaller, Image.Resampling.BILINEAR))
    if smaller != (width, height):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return frame


def _inverse_matrix(geometry: Geometry, height: int, width: int) -> np.ndarray:
    """(2, 3): from a pixel of the result to the pixel of the source it shows, flip included; (0, 0) is a centre."""
    angle, shear = math.radians(geometry.angle), math.radians(geometry.shear)
    cosine, sine, slope = math.cos(angle), math.sin(angle), math.tan(shear)
    # The inverse of a rotation of what was sheared: x - slope * y.
    linear = np.array([[cosine - slope * sine, sine + slope * cosine], [-sine, cosine]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([linear, middle - linear @ middle])
    if geometry.flip:
        matrix[0] = [0, 0, width - 1] - matrix[0]
    return matrix


def _crop(mask: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The smallest part of a mask that holds its object, and where it begins: (h, w) bool, left, top."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return mask[top : top + height, left : left + width], left, top


def _warp_mask(mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, int, int]:
    """A mask (H, W) through a matrix as `_inverse_matrix` makes it, nearest neighbours: as `_crop` gives it."""
    part, left, top = _crop(mask)
    if not part.size:
        return part, 0, 0
    height, width = part.shape
    corners = np.array([[x, y] for x in (left - 1, left + width) for y in (top - 1, top + height)])
    corners = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    first = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, None)
    beyond = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, None, mask.shape[::-1])
    if (first >= beyond).any():
        return part[:0, :0], 0, 0
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ first - (left, top)
    warped = cv2.warpAffine(
        np.ascontiguousarray(part).view(np.uint8),
        shifted,
        (beyond - first).tolist(),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    return warped.view(bool), int(first[0]), int(first[1])


def _resize_mask(part: np.ndarray, left: int, top: int, whole: tuple[int, int], out: np.ndarray) -> None:
    """Writes into `out`, which is empty, a mask of which a part is given: bilinear with antialias, then rounded.

    Half an object is none: that is how rounding to even treats one half.

    Args:
        part: (h, w) bool, the rest of the mask being empty.
        left, top: where the part begins.
        whole: (H, W) of the mask.
        out: (H', W') bool.
    """
    if not part.size:
        return
    if whole == out.shape:
        out[top : top + part.shape[0], left : left + part.shape[1]] = part
        return
    # Along each axis: which pixels of the result can see the part, and which of the source they see.
    slices, pads, box = [], [], []
    for begin, length, before, after in zip((top, left), part.shape, whole, out.shape):
        scale = before / after
        reach = math.ceil(max(scale, 1.0)) + 1
        first = max(0, math.floor((begin - reach) / scale))
        beyond = min(after, math.ceil((begin + length + reach) / scale))
        low = max(0, math.floor(first * scale) - reach)
        high = min(before, math.ceil(beyond * scale) + reach)
        slices.append(slice(first, beyond))
        pads.append((begin - low, high - begin - length))
        box.append((first * scale - low, min(beyond * scale, before) - low))
    (rows, columns), ((y0, y1), (x0, x1)) = slices, box
    values = Image.fromarray(np.pad(part, pads).astype(np.float32))
    size = columns.stop - columns.start, rows.stop - rows.start
    resized = values.resize(size, Image.Resampling.BILINEAR, (x0, y0, x1, y1))
    out[rows, columns] = np.asarray(resized) > 0.5


def _tile(frame: np.ndarray) -> np.ndarray:
    """A frame (S, S, 3) four times in its own place."""
    size, tiled, small = len(frame), np.empty_like(frame), {}
    for row in range(2):
        for column in range(2):
            rows, columns = _half(size, row), _half(size, column)
            shape = rows.stop - rows.start, columns.stop - columns.start
            if shape not in small:
                small[shape] = resize_frame(frame, *shape)
            tiled[rows, columns] = small[shape]
    return tiled


def _half(size: int, part: int) -> slice:
    return slice(part * size // 2, (part + 1) * size // 2)
