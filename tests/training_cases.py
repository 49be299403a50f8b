# SPDX-License-Identifier: Apache-2.0
"""Made-up clips for training: the same in either implementation."""

import numpy as np


def make_clip(length: int, objects: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Discs that move over noise: frames (T, S, S, 3) uint8 and masks (T, O, S, S) bool.

    An object does not depend on how many others there are. The second one is not in the last frame of a video.
    """
    frames = np.random.default_rng([seed, 0]).integers(0, 180, (length, size, size, 3), np.uint8)
    masks = np.zeros((length, objects, size, size), bool)
    y, x = np.mgrid[:size, :size] / size
    for number in range(objects):
        rng = np.random.default_rng([seed, 1 + number])
        across, down, right, below, radius = rng.uniform([0.3, 0.3, -0.08, -0.08, 0.12], [0.7, 0.7, 0.08, 0.08, 0.2])
        color = rng.integers(0, 255, 3)
        for frame in range(length):
            if length > 1 and number == 1 and frame == length - 1:
                continue
            disc = (x - across - right * frame) ** 2 + (y - down - below * frame) ** 2 < radius**2
            masks[frame, number] = disc
            frames[frame][disc] = (frames[frame][disc] + color) // 2
    return frames, masks
