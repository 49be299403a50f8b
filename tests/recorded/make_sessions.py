# SPDX-License-Identifier: Apache-2.0
"""Records what the published PyTorch package answers in random video sessions, with weights drawn by rule.

    python tests/recorded/make_sessions.py tests/recorded          # writes sessions_SETTING.npz

It needs the package (PyPI: sam2 1.1.0; recorded with torch 2.13 on a CPU) and the frames that `make_videos.py` writes.
Three things that stop the package on a CPU are mended: memories without a pointer stay bfloat16 beside float32 frames,
a method is called that it does not have, and components of masks are counted by a CUDA kernel.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor
from sam2.modeling.memory_attention import MemoryAttention
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2.utils import misc

sys.path.insert(0, str(Path(__file__).parents[1]))
from random_sessions import RECORDED, play
from rule_weights import draw
from video_cases import sample

OVERRIDES = {
    "corrections count": ["++model.add_all_frames_to_correct_as_cond=true"],
    "one object a pixel": ["++model.non_overlap_masks=true"],
    "near ones forgotten": ["++model.clear_non_cond_mem_around_input=true"],
}


def forget_near(self, state, frame: int, obj_idx: int) -> None:
    span = self.num_maskmem * self.memory_temporal_stride_for_eval
    for near in range(frame - span, frame + span + 1):
        state["output_dict_per_obj"][obj_idx]["non_cond_frame_outputs"].pop(near, None)


def components(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    labels, areas = torch.zeros_like(masks, dtype=torch.int32), torch.zeros_like(masks, dtype=torch.int32)
    for index, mask in enumerate(masks[:, 0].numpy().astype(np.uint8)):
        _, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        sizes = statistics[:, cv2.CC_STAT_AREA]
        labels[index, 0] = torch.from_numpy(numbers)
        areas[index, 0] = torch.from_numpy(np.where(numbers > 0, sizes[numbers], 0))
    return labels, areas


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_grad_enabled(False)
    forward = MemoryAttention.forward
    MemoryAttention.forward = lambda self, curr, memory, *rest, **more: forward(
        self, curr, memory.float(), *rest, **more
    )
    SAM2VideoPredictor._clear_obj_non_cond_mem_around_input = forget_near
    misc.get_connected_components = components
    with tempfile.TemporaryDirectory() as images, np.load(folder / "video_frames.npz") as recorded:
        for index, frame in enumerate(recorded["frames"]):
            Image.fromarray(frame).save(f"{images}/{index}.png")
            Path(f"{images}/{index}.png").rename(f"{images}/{index:05d}.jpg")  # read by content: nothing is lost
        for setting, (seed, fill) in RECORDED.items():
            overrides = ["++model.image_size=128", f"++model.fill_hole_area={fill}", *OVERRIDES.get(setting, [])]
            predictor = build_sam2_video_predictor(
                "configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cpu", mode="eval", hydra_overrides_extra=overrides
            )
            predictor.fill_hole_area = fill
            predictor.load_state_dict(
                {k: torch.from_numpy(draw(k, tuple(v.shape))) for k, v in predictor.state_dict().items()}
            )
            answers = {}
            for number, (name, found) in enumerate(play(predictor, predictor.init_state(images), seed)):
                if isinstance(found, str):
                    answers[f"{number:02d} {name}: {found}"] = np.zeros(0)
                    continue
                for frame, ids, masks in found:
                    answers[f"{number:02d} {name}, frame {frame} of {list(ids)}"] = sample(masks)
            np.savez_compressed(folder / f"sessions_{setting.replace(' ', '_')}.npz", **answers)
            print(setting, seed, len(answers), flush=True)


main()
