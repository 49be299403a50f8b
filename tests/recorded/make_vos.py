# SPDX-License-Identifier: Apache-2.0
"""Records the masks that the published PyTorch package gives for VOS with the settings of its inference script.

    python tests/recorded/make_vos.py tests/recorded          # writes vos_sam2.1_hiera_tiny_256.npz

It needs the package (PyPI: sam2 1.1.0; recorded with torch 2.13 on a CPU). The script itself is not in the package; its
settings are: no post-processing, the first mask of each object is the prompt, and pixels are of the one object that is
surest of them, unless each object has files of its own.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor

sys.path.insert(0, str(Path(__file__).parents[1]))
from rule_weights import draw
from video_cases import frames
from vos_cases import LATE, OBJECTS, masks

ABSENT = -1024.0


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_grad_enabled(False)
    truth = masks()
    with tempfile.TemporaryDirectory() as jpegs:
        for index, frame in enumerate(frames()):
            Image.fromarray(frame).save(f"{jpegs}/{index:05d}.jpg", quality=95)
        shared, apart = predictor("true"), predictor("false")
        recorded = {
            "first_frame": first_frame_objects(shared, jpegs, truth),
            "appearing_later": objects_that_appear_later(shared, jpegs, truth),
            "file_for_each": np.packbits(all_together(apart, jpegs, truth) > 0, axis=-1),
        }
    np.savez_compressed(folder / "vos_sam2.1_hiera_tiny_256.npz", **recorded)


def predictor(non_overlap: str):
    built = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        None,
        device="cpu",
        mode="eval",
        apply_postprocessing=False,
        hydra_overrides_extra=["++model.image_size=256", f"++model.non_overlap_masks={non_overlap}"],
    )
    built.load_state_dict({k: torch.from_numpy(draw(k, tuple(v.shape))) for k, v in built.state_dict().items()})
    return built


def all_together(predictor, jpegs: str, truth: np.ndarray) -> np.ndarray:
    """(T, 2, H, W) logits of the objects of the first frame."""
    state = predictor.init_state(jpegs)
    for number, mask in zip(OBJECTS[:2], truth[0]):
        predictor.add_new_mask(state, 0, number, mask)
    return np.stack([logits[:, 0].numpy() for _, _, logits in predictor.propagate_in_video(state)])


def first_frame_objects(predictor, jpegs: str, truth: np.ndarray) -> np.ndarray:
    return as_palette(all_together(predictor, jpegs, truth))


def objects_that_appear_later(predictor, jpegs: str, truth: np.ndarray) -> np.ndarray:
    state = predictor.init_state(jpegs)
    logits = np.full(truth.shape, ABSENT, np.float32)
    for place, first in enumerate((0, 0, LATE)):
        predictor.reset_state(state)
        predictor.add_new_mask(state, first, OBJECTS[place], truth[first, place])
        for frame, _, answer in predictor.propagate_in_video(state, start_frame_idx=first):
            logits[frame, place] = answer[0, 0].numpy()
    shared = [predictor._apply_non_overlapping_constraints(torch.from_numpy(frame)[:, None]) for frame in logits]
    return as_palette(torch.stack(shared)[:, :, 0].numpy())


def as_palette(logits: np.ndarray) -> np.ndarray:
    """(T, H, W) uint8 object numbers; the lowest is written last."""
    numbers = np.zeros((len(logits), *logits.shape[2:]), np.uint8)
    for place in reversed(range(logits.shape[1])):
        numbers[logits[:, place] > 0] = OBJECTS[place]
    return numbers


main()
