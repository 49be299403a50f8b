# SPDX-License-Identifier: Apache-2.0
"""Records what the published augmentations give on small made-up clips, for tests/test_clips.py.

In: nothing. Out: augmentations.npz beside this file: `geometry_<case>_*` from the published package's transforms, with
the draws replaced by those of the case, and `colour_*` from torchvision on float tensors and on PIL images. Run with
`python tests/recorded/make_augmentations.py` in an environment with PyTorch, torchvision and the published package;
recorded with torch 2.13.0, torchvision 0.28.0, Pillow 13.0.0, on CPU.
"""

import pathlib

import numpy as np
import torch
import torchvision.transforms.functional as functional
from PIL import Image
from torchvision.transforms import RandomAffine as TorchvisionAffine
from training.dataset import transforms
from training.utils.data_utils import Frame, Object, VideoDatapoint

GEOMETRY = {  # (H, W), S, flip, angle, shear, quadrant
    "shrunk": ((25, 34), 18, False, 0.0, 0.0, None),
    "grown_and_flipped": ((14, 20), 32, True, 0.0, 0.0, None),
    "turned": ((22, 30), 28, False, 17.3, -12.1, None),
    "flipped_and_turned": ((26, 19), 24, True, -23.0, 18.0, None),
    "tiled": ((22, 30), 24, True, 8.0, 3.0, (1, 0)),
    "lost_when_turned": ((22, 30), 20, False, 25.0, 20.0, None),
}
ORDERS = [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2), (0, 2, 1)]
ADJUST = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)


def masks_of(case: str, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    if case == "lost_when_turned":
        corner = (y < 3) & (x < 3)
        return np.stack([[corner, x > 15], [corner, x > 18]])
    discs = [
        [(y - height / 2) ** 2 + (x - width / 2 - 2 * t) ** 2 < 30, (y - 6) ** 2 / 6 + (x - 9 - t) ** 2 / 14 < 1]
        for t in range(2)
    ]
    return np.array(discs)


def record_geometry(arrays: dict) -> None:
    for case, ((height, width), size, flip, angle, shear, quadrant) in GEOMETRY.items():
        y, x = np.mgrid[:height, :width]
        waves = [[128 + 110 * np.sin((x + 2 * t) / a + y / b) for a, b in ((3, 9), (7, 4), (5, -6))] for t in range(2)]
        frames = np.moveaxis(np.array(waves), 1, -1).astype(np.uint8)
        masks = masks_of(case, height, width)
        clip = VideoDatapoint(
            [
                Frame(
                    Image.fromarray(f), [Object(o, t, torch.from_numpy(m.astype(np.uint8))) for o, m in enumerate(ms)]
                )
                for t, (f, ms) in enumerate(zip(frames, masks))
            ],
            0,
            (height, width),
        )
        if flip:
            clip = transforms.RandomHorizontalFlip(True, 1.0)(clip)
        if angle or shear:
            draw = (angle, (0, 0), 1.0, (shear, 0.0))
            TorchvisionAffine.get_params = staticmethod(lambda *_, draw=draw, **__: draw)
            clip = transforms.RandomAffine(25, True, shear=20, image_interpolation="bilinear", log_warning=False)(clip)
        clip = transforms.RandomResizeAPI(size, True, square=True)(clip)
        if quadrant is not None:
            unflipped = torch.zeros(2, 2, dtype=torch.bool)
            for t in range(2):
                transforms.random_mosaic_frame(clip, t, 2, 2, *quadrant, unflipped)
        name = f"geometry_{case}"
        arrays[f"{name}_frames"], arrays[f"{name}_masks"] = frames, masks
        arrays[f"{name}_draw"] = np.array([flip, angle, shear, *(quadrant or (-1, -1))])
        arrays[f"{name}_frames_out"] = np.stack([np.asarray(frame.data) for frame in clip.frames])
        arrays[f"{name}_masks_out"] = np.stack(
            [np.stack([o.segment.numpy().astype(bool) for o in frame.objects]) for frame in clip.frames]
        )


def record_colour(arrays: dict) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (len(ORDERS), 3, 4, 3), np.uint8)
    frames = np.stack([np.asarray(Image.fromarray(c).resize((14, 10), Image.Resampling.BICUBIC)) for c in coarse])
    # The last frame goes far beyond the settings of the paper, where values are cut off.
    spread = np.array([[0.1, 0.03, 0.03], [0.1, 0.05, 0.05]]) * np.where(np.arange(5) == 4, 9, 1)[:, None, None]
    factors = (1 + random.uniform(-1, 1, (5, 2, 3)) * spread).astype(np.float32)
    orders = np.stack([np.stack([ORDERS[i], ORDERS[-1 - i]]) for i in range(5)])
    grayscale = np.arange(5) == 3
    exact, rounded = [], []
    for frame, factor, order, grey in zip(frames, factors, orders, grayscale):
        tensor = torch.from_numpy(frame).permute(2, 0, 1).float() / 255
        image = Image.fromarray(frame)
        for turn in range(2):
            for operation in order[turn]:
                tensor = ADJUST[operation](tensor, float(factor[turn, operation]))
                image = ADJUST[operation](image, float(factor[turn, operation]))
            if grey and turn == 0:
                tensor = functional.rgb_to_grayscale(tensor, 3)
                image = functional.to_grayscale(image, 3)
        exact.append(tensor.permute(1, 2, 0).numpy() * 255)
        rounded.append(np.asarray(image))
    arrays |= {"colour_frames": frames, "colour_factors": factors, "colour_order": orders.astype(np.int32)}
    arrays |= {"colour_grayscale": grayscale, "colour_tensors": np.stack(exact), "colour_images": np.stack(rounded)}


def main():
    arrays = {}
    record_geometry(arrays)
    record_colour(arrays)
    np.savez_compressed(pathlib.Path(__file__).with_name("augmentations.npz"), **arrays)


if __name__ == "__main__":
    main()
