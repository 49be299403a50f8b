# SPDX-License-Identifier: Apache-2.0
"""What a user gives, checked once and laid out in arrays of few sizes, so that one click more compiles nothing.

In: points, labels, boxes and masks in the user's pixels, as the published predictors take them. Out: `Prompts` for one
picture, or a `ValueError` of one sentence.
"""

from collections.abc import Sequence

import jax
import numpy as np

from sam2_jax.buckets import bucket
from sam2_jax.types import Label, Prompts

_FEWEST_POINTS = 4  # a box, a click, and the token that ends every list


def prepare_prompts(
    points: np.ndarray | None,
    labels: np.ndarray | None,
    boxes: np.ndarray | None,
    masks: np.ndarray | None,
    picture_size: tuple[int, int],
    image_size: int,
    normalize: bool = True,
) -> tuple[Prompts, int]:
    """Checks and pads the prompts of O objects on one picture.

    Args:
        points: (N, 2) or (O, N, 2) as (x, y).
        labels: (N,) or (O, N), 1 for the object and 0 for the background.
        boxes: (4,) or (O, 4) as (x0, y0, x1, y1).
        masks: (1, S/4, S/4) or (O, 1, S/4, S/4) logits of an earlier prediction.
        picture_size: (H, W) of the user's picture.
        image_size: S, the side of the model's input.
        normalize: points and boxes are in pixels of the picture; else they are fractions of it, 0 to 1.

    Returns:
        The prompts, with a leading picture axis of 1, and the number O of objects that count.

    Raises:
        ValueError: the prompts contradict themselves, each other or the picture.
    """
    if points is None and labels is not None:
        raise ValueError("point_labels came without point_coords; expected both or neither.")
    if points is None and boxes is None and masks is None:
        raise ValueError("There is no prompt; expected points, a box or a mask.")
    coordinates, kinds = check_points(points, labels, boxes, picture_size, image_size, normalize)
    mask_logits = None if masks is None else _check_masks(masks, image_size // 4)
    counts = {len(array) for array in (coordinates, mask_logits) if array is not None}
    if len(counts - {1}) > 1:
        raise ValueError(f"Prompts are for {' and '.join(map(str, sorted(counts)))} objects; expected one number.")
    return lay_out(coordinates, kinds, mask_logits), max(counts)


def check_points(
    points: np.ndarray | None,
    labels: np.ndarray | None,
    boxes: np.ndarray | None,
    picture_size: tuple[int, int],
    image_size: int,
    normalize: bool = True,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Points and boxes, arguments as of `prepare_prompts`, as one list of points for each object.

    Returns:
        (O, N, 2) float32 in pixels of the model input and (O, N) int32 of `Label`; None and None where there are none.
    """
    height, width = picture_size
    extent = np.array([width, height] if normalize else [1, 1], np.float32)
    coordinates, kinds = [], []
    if boxes is not None:
        corners = _check_boxes(boxes, extent)
        coordinates.append(corners)
        kinds.append(np.tile(np.int32([Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]), (len(corners), 1)))
    if points is not None:
        clicks, clicked = _check_points(points, labels, extent)
        coordinates.append(clicks)
        kinds.append(clicked)
    counts = {len(array) for array in coordinates}
    if len(counts) > 1:
        raise ValueError(f"Prompts are for {' and '.join(map(str, sorted(counts)))} objects; expected one number.")
    if not coordinates:
        return None, None
    return np.concatenate(coordinates, axis=1) / extent * image_size, np.concatenate(kinds, axis=1)


def check_clicks(
    earlier: tuple[np.ndarray, np.ndarray] | None,
    picture_size: tuple[int, int],
    image_size: int,
    points: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    box: np.ndarray | None = None,
    clear_old_points: bool = True,
    normalize_coords: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """The points of one object on a frame, after those of an earlier call unless they are to be forgotten.

    Returns:
        (N, 2) float32 in pixels of the model input and (N,) int32 of `Label`.
    """
    if box is not None and not clear_old_points:
        raise ValueError("A box cannot be added to earlier points; expected clear_old_points=True.")
    if points is None and box is None:
        raise ValueError("There is no prompt; expected points or a box.")
    new_points, new_labels = check_points(points, labels, box, picture_size, image_size, normalize_coords)
    if len(new_points) != 1:
        raise ValueError(f"The prompt is for {len(new_points)} objects; expected one for each call.")
    given = new_points[0], new_labels[0]
    if earlier is None or clear_old_points:
        return given
    return tuple(np.concatenate(pair) for pair in zip(earlier, given))


def check_mask(mask: np.ndarray) -> np.ndarray:
    """A user's mask of one object, (H, W)."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"mask has the shape {mask.shape}; expected (H, W).")
    return mask


def lay_out_correction(points: np.ndarray, labels: np.ndarray, before: np.ndarray | None, mask_size: int) -> Prompts:
    """One object's points (N, 2) and labels (N,), and the logits it had on the frame before them, if any."""
    logits = np.zeros((mask_size, mask_size), np.float32) if before is None else np.clip(before, -32, 32)
    prompts = lay_out(points[None], labels[None], logits[None])
    return prompts.replace(has_mask=np.array([[before is not None]]))


def stack_prompts(prompts: Sequence[Prompts]) -> Prompts:
    """Prompts of single objects, each laid out by `lay_out_correction`, as those of O objects."""
    slots = max(each.labels.shape[-1] for each in prompts)

    def padded(each: Prompts) -> Prompts:
        more = slots - each.labels.shape[-1]
        return each.replace(
            points=np.pad(each.points, ((0, 0), (0, 0), (0, more), (0, 0))),
            labels=np.pad(each.labels, ((0, 0), (0, 0), (0, more)), constant_values=Label.PADDING),
        )

    return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=1), *map(padded, prompts))


def lay_out(points: np.ndarray | None, labels: np.ndarray | None, masks: np.ndarray | None) -> Prompts:
    """Lists of points (O, N, 2) and labels (O, N), and masks (O, h, w) or (1, h, w), in arrays of few sizes.

    Every list of points ends with a token that is none; a mask alone has no tokens at all (both as published).
    """
    objects = max(len(array) for array in (points, masks) if array is not None)
    length = 0 if points is None else points.shape[1]
    slots, rows = bucket(length + 1, _FEWEST_POINTS), bucket(objects)
    all_points = np.zeros((1, rows, slots, 2), np.float32)
    all_labels = np.full((1, rows, slots), Label.PADDING, np.int32)
    if points is not None:
        all_points[0, :objects, :length] = points
        all_labels[0, :objects, :length] = labels
        all_labels[0, :objects, length] = Label.NOT_A_POINT
    if masks is None:
        return Prompts(points=all_points, labels=all_labels)
    all_masks = np.zeros((1, rows, *masks.shape[1:]), np.float32)
    all_masks[0, :objects] = masks
    return Prompts(points=all_points, labels=all_labels, masks=all_masks)


def _numbers(array, name: str) -> np.ndarray:
    try:
        array = np.asarray(array, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {array!r}; expected numbers.") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a value that is not finite.")
    return array


def _check_points(points, labels, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if labels is None:
        raise ValueError("point_coords came without point_labels; expected a label for each point.")
    points, labels = _numbers(points, "point_coords"), _numbers(labels, "point_labels")
    if points.ndim not in (2, 3) or points.shape[-1] != 2:
        raise ValueError(f"point_coords has the shape {points.shape}; expected (N, 2) or (B, N, 2).")
    if labels.shape != points.shape[:-1]:
        raise ValueError(
            f"point_labels has the shape {labels.shape}; expected {points.shape[:-1]}, one for each point."
        )
    known = (Label.NOT_A_POINT, Label.BACKGROUND, Label.FOREGROUND, Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT)
    unknown = labels[~np.isin(labels, known)]
    if len(unknown):
        raise ValueError(f"point_labels holds {unknown[0]:g}; expected 1 (object) or 0 (background).")
    outside = ((points < 0) | (points > extent)).any(-1) & (labels >= 0)
    if outside.any():
        x, y = points[outside][0]
        raise ValueError(
            f"The point ({x:g}, {y:g}) is outside the picture, which is {extent[0]:g} wide and {extent[1]:g} high."
        )
    shape = (1,) * (3 - points.ndim)
    return points.reshape(shape + points.shape), labels.reshape(shape + labels.shape).astype(np.int32)


def _check_boxes(boxes, extent: np.ndarray) -> np.ndarray:
    boxes = _numbers(boxes, "box")
    if boxes.ndim not in (1, 2) or boxes.shape[-1] != 4:
        raise ValueError(f"box has the shape {boxes.shape}; expected (4,) or (B, 4).")
    corners = boxes.reshape(-1, 2, 2)
    for (x0, y0), (x1, y1) in corners:
        said = f"The box ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
        if x1 <= x0 or y1 <= y0:
            raise ValueError(f"{said} has no area; expected (x0, y0, x1, y1) with x0 < x1 and y0 < y1.")
        if x1 < 0 or y1 < 0 or x0 > extent[0] or y0 > extent[1]:
            raise ValueError(f"{said} is outside the picture, which is {extent[0]:g} wide and {extent[1]:g} high.")
    return corners


def _check_masks(masks, size: int) -> np.ndarray:
    masks = _numbers(masks, "mask_input")
    if masks.ndim not in (3, 4) or masks.shape[-3:] != (1, size, size):
        raise ValueError(
            f"mask_input has the shape {masks.shape}; expected (1, {size}, {size}) or (B, 1, {size}, {size})."
        )
    return masks.reshape(-1, size, size)
