# SPDX-License-Identifier: Apache-2.0
"""Records what PyTorch's two bilinear resizes give on small random arrays, for tests/test_media.py.

In: nothing. Out: resizes.npz beside this file: for each case, the input `<case>_in` and the result `<case>_out`.
Run with `python tests/recorded/make_resizes.py` in an environment with PyTorch; recorded with torch 2.13.0, on CPU.
"""

import pathlib

import numpy as np
import torch
from torch.nn.functional import interpolate

PICTURES = {  # (H, W) and the side of the square
    "down": ((53, 37), 16),
    "up": ((7, 9), 24),
    "down_and_up": ((5, 60), 16),
    "one_pixel": ((1, 1), 8),
    "one_row": ((1, 40), 12),
    "one_column": ((40, 1), 12),
    "same": ((12, 12), 12),
}
LOGITS = {  # (..., h, w) and (H, W)
    "up": ((2, 3, 8, 8), (23, 31)),
    "down": ((2, 20, 20), (7, 9)),
    "down_and_up": ((16, 16), (40, 5)),
    "half": ((16, 16), (8, 8)),
    "one_pixel": ((1, 1), (3, 4)),
    "one_row": ((1, 6), (5, 20)),
}


def main():
    random = np.random.default_rng(0)
    arrays = {}
    for case, (shape, size) in PICTURES.items():
        picture = random.integers(0, 256, (*shape, 3), np.uint8)
        # As the published preprocessing does it: to 0..1 first (torchvision's ToTensor), then its Resize on tensors.
        tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        resized = interpolate(tensor, (size, size), mode="bilinear", align_corners=False, antialias=True)
        arrays[f"picture_{case}_in"] = picture
        arrays[f"picture_{case}_out"] = resized[0].permute(1, 2, 0).numpy() * 255
    for case, (shape, size) in LOGITS.items():
        logits = (10 * random.standard_normal(shape)).astype(np.float32)
        tensor = torch.from_numpy(logits).reshape(1, -1, *shape[-2:])
        resized = interpolate(tensor, size, mode="bilinear", align_corners=False)
        arrays[f"logits_{case}_in"] = logits
        arrays[f"logits_{case}_out"] = resized.reshape(*shape[:-2], *size).numpy()
    np.savez_compressed(pathlib.Path(__file__).with_name("resizes.npz"), **arrays)


if __name__ == "__main__":
    main()
