# SPDX-License-Identifier: Apache-2.0
"""Records where the published package clicks and which boxes it draws, for tests/test_clicks.py.

In: nothing. Out: clicks.npz beside this file: masks, packed to bits, and the published clicks, boxes and draws.
Run with `python tests/recorded/make_clicks.py` in an environment with the published package (sam2 1.1.0, OpenCV).
"""

import pathlib

import cv2
import numpy as np
import torch
from sam2.modeling import sam2_utils

SIZES = {"odd": (37, 53), "wide": (24, 90), "square": (64, 64), "row": (1, 19), "column": (17, 1), "pixel": (1, 1)}


def masks(size, random):
    """Pairs of a true and a predicted mask: noise, blobs, regions alike in depth, and the ends of the scale."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    nothing, everything = np.zeros(size, bool), np.ones(size, bool)
    pairs = [(random.random(size) > p, random.random(size) > q) for p, q in ((0.5, 0.5), (0.1, 0.6), (0.97, 0.02))]
    blobs = [cv2.GaussianBlur(random.random(size), (0, 0), 3) > 0.5 for _ in range(6)]
    pairs += list(zip(blobs[::2], blobs[1::2]))
    left, right = x < width // 2, x >= width - width // 2  # missed and wrong alike: a tie
    pairs += [(left, right), (right, left), (left, everything), (x % 8 < 5, nothing)]
    disks = [(y - height // 3) ** 2 + (x - c) ** 2 <= 30 for c in (width // 4, width // 2, 3 * width // 4)]
    pairs += [(disks[0] | disks[2], disks[1]), (disks[1], disks[1]), (disks[0], everything)]
    pairs += [(nothing, nothing), (everything, everything), (nothing, everything), (everything, nothing)]
    return np.stack([truth for truth, _ in pairs]), np.stack([prediction for _, prediction in pairs])


def tensors(array):
    return torch.from_numpy(array)[:, None]


def main():
    random = np.random.default_rng(0)
    arrays = {}
    for name, size in SIZES.items():
        truth, prediction = masks(size, random)
        for which, other in (("error", tensors(prediction)), ("truth", None)):
            points, labels = sam2_utils.get_next_point(tensors(truth), other, "center")
            arrays[f"{name}_centre_of_{which}"] = np.concatenate([points[:, 0], labels], 1).astype(np.int16)
        torch.manual_seed(0)
        draws = torch.rand(len(truth), 1, 4)
        torch.manual_seed(0)
        boxes, _ = sam2_utils.sample_box_points(tensors(truth))
        exact, _ = sam2_utils.sample_box_points(tensors(truth), noise=0)
        arrays |= {
            f"{name}_truth": np.packbits(truth),
            f"{name}_prediction": np.packbits(prediction),
            f"{name}_size": np.array(truth.shape),
            f"{name}_draws": draws.reshape(-1, 2, 2).numpy(),
            f"{name}_noisy_box": boxes.numpy(),
            f"{name}_box": exact.numpy().astype(np.int16),
        }
    # Where the published uniform click can fall: all that it hits in so many draws on masks this small.
    size = (4, 5)
    truth, prediction = masks(size, random)
    for which, other in (("error", tensors(prediction)), ("truth", None)):
        hit = np.zeros((len(truth), *size, 2), bool)
        for _ in range(2000):
            points, labels = sam2_utils.get_next_point(tensors(truth), other, "uniform")
            x, y = points[:, 0].numpy().astype(int).T
            hit[np.arange(len(truth)), y, x, labels[:, 0].numpy()] = True
        arrays[f"uniform_in_{which}"] = np.packbits(hit)
    arrays |= {"uniform_truth": np.packbits(truth), "uniform_prediction": np.packbits(prediction)}
    arrays["uniform_size"] = np.array(truth.shape)
    np.savez_compressed(pathlib.Path(__file__).with_name("clicks.npz"), **arrays)


if __name__ == "__main__":
    main()
