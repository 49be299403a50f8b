# SPDX-License-Identifier: Apache-2.0
"""How well a mask fits the true one: J, the overlap of the regions, and F, the agreement of their boundaries.

In: true and predicted masks (..., H, W) bool, NumPy. Out: numbers from 0 to 1 for each, as the SA-V and DAVIS 2017
evaluators give them. `j_and_f_jit` gives the same inside jit.
"""

import functools

import cv2
import numpy as np

BOUNDARY_TOLERANCE = 0.008  # of the frame's diagonal


def jaccard(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """J, intersection over union: (..., H, W) bool gives (...) float64. It is 1 where both masks are empty."""
    _check(truth, prediction)
    intersection = np.count_nonzero(truth & prediction, axis=(-2, -1))
    union = np.count_nonzero(truth | prediction, axis=(-2, -1))
    return np.where(union > 0, intersection / np.maximum(union, 1), 1.0)


def mean_iou(truth: np.ndarray, prediction: np.ndarray) -> float:
    """mIoU, the mean of J over all masks, 0 to 1 (section 6.3)."""
    return float(jaccard(truth, prediction).mean())


def boundary_f(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """F, the harmonic mean of the boundaries' precision and recall: (..., H, W) bool gives (...) float64.

    A boundary pixel is right where the other mask has one within `boundary_tolerance` pixels. F is 1 where neither mask
    has a boundary (both are empty, or fill the frame) and 0 where one of them has none.
    """
    return j_and_f(truth, prediction)[1]


def j_and_f(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J and F of each pair of masks: (..., H, W) bool gives (...) and (...) float64.

    Raises:
        ValueError: the masks are not bool, or not alike in shape.
    """
    _check(truth, prediction)
    j, f = np.empty(truth.shape[:-2]), np.empty(truth.shape[:-2])
    for index in np.ndindex(j.shape):
        j[index], f[index] = _j_and_f(truth[index], prediction[index])
    return j, f


def boundary(mask: np.ndarray) -> np.ndarray:
    """The boundary of one mask, (H, W) bool: where a pixel differs from the one to its right, below, or both.

    So it lies half a pixel towards the origin. The edge of the frame is no boundary.
    """
    mask = np.pad(mask, ((0, 1), (0, 1)), "edge")
    here = mask[:-1, :-1]
    return (here ^ mask[:-1, 1:]) | (here ^ mask[1:, :-1]) | (here ^ mask[1:, 1:])


def boundary_tolerance(height: int, width: int) -> int:
    """How far apart two boundaries may lie and still agree, in pixels."""
    return int(np.ceil(BOUNDARY_TOLERANCE * np.linalg.norm((height, width))))


def _j_and_f(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    union = truth | prediction
    left, top, width, height = cv2.boundingRect(union.view(np.uint8))
    if width == 0:
        return 1.0, 1.0
    # No mask goes beyond this part of the frame; a pixel more on each side keeps their boundaries.
    part = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    true, predicted = truth[part], prediction[part]
    j = np.count_nonzero(true & predicted) / np.count_nonzero(union[part])

    true, predicted = boundary(true), boundary(predicted)
    true_length, predicted_length = np.count_nonzero(true), np.count_nonzero(predicted)
    if true_length == 0 or predicted_length == 0:
        return j, float(true_length == predicted_length)
    disk = _disk(boundary_tolerance(*truth.shape))
    near_truth = cv2.dilate(true.view(np.uint8), disk).view(bool)
    near_prediction = cv2.dilate(predicted.view(np.uint8), disk).view(bool)
    precision = np.count_nonzero(predicted & near_truth) / predicted_length
    recall = np.count_nonzero(true & near_prediction) / true_length
    return j, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@functools.cache
def _disk(radius: int) -> np.ndarray:
    offsets = np.arange(-radius, radius + 1)
    return (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)


def _check(truth: np.ndarray, prediction: np.ndarray) -> None:
    if not truth.dtype == prediction.dtype == bool or truth.shape != prediction.shape or truth.ndim < 2:
        came = f"{truth.dtype} {truth.shape} and {prediction.dtype} {prediction.shape}"
        raise ValueError(f"The masks are {came}; expected both bool (..., H, W) of one shape.")
