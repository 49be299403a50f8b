# SPDX-License-Identifier: Apache-2.0
"""The picture and the prompts on which both implementations are compared; NumPy alone, so that either can read it."""

import numpy as np

HEIGHT, WIDTH = 270, 480


def picture() -> np.ndarray:
    """A made-up picture, (270, 480, 3) uint8: coloured blocks, discs and noise, drawn by rule."""
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 200, (9, 16, 3)), np.ones((30, 30, 1), int))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for _ in range(6):
        disc = (x - rng.uniform(0, WIDTH)) ** 2 + (y - rng.uniform(0, HEIGHT)) ** 2 < rng.uniform(15, 60) ** 2
        pixels[disc] = rng.integers(0, 255, 3)
    return np.clip(pixels + rng.integers(-20, 20, pixels.shape), 0, 255).astype(np.uint8)


def prompts(mask_size: int) -> dict[str, dict]:
    """Arguments of `predict`, by case."""
    y, x = np.mgrid[:mask_size, :mask_size] / mask_size
    mask = np.where((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.04, 6, -6).astype(np.float32)[None]
    one = dict(point_coords=np.array([[144.0, 108.0]]), point_labels=np.array([1]))
    several = dict(point_coords=np.array([[144, 108], [288, 135], [48, 243]], float), point_labels=np.array([1, 1, 0]))
    box = np.array([96.0, 54.0, 336.0, 216.0])
    boxes = np.array([[96, 54, 336, 216], [10, 10, 200, 100], [240, 20, 470, 260]], float)
    return {
        "click": dict(**one, multimask_output=True),
        "click, one mask": dict(**one, multimask_output=False),
        "clicks": dict(**several, multimask_output=False),
        "clicks, three masks": dict(**several, multimask_output=True),
        "box": dict(box=box, multimask_output=False),
        "box and click": dict(
            box=box, point_coords=np.array([[240.0, 135.0]]), point_labels=np.array([0]), multimask_output=False
        ),
        "mask and clicks": dict(**several, mask_input=mask, multimask_output=False),
        "mask alone": dict(mask_input=mask, multimask_output=False),
        "three boxes": dict(box=boxes, multimask_output=False),
        "two objects by clicks": dict(
            point_coords=np.array([[[144, 108], [48, 243]], [[300, 100], [310, 200]]], float),
            point_labels=np.array([[1, 0], [1, 1]]),
            multimask_output=True,
        ),
    }


def sample(array: np.ndarray) -> np.ndarray:
    """A thousand of an array's values, spread over it: what is recorded of large outputs."""
    array = np.asarray(array, np.float32).reshape(-1)
    return array[:: max(1, array.size // 1000)]
