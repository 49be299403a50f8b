# SPDX-License-Identifier: Apache-2.0
"""Records what the published PyTorch package answers in a video session, with weights drawn by rule.

    python tests/recorded/make_videos.py tests/recorded          # writes video_MODEL_SIZE[_...].npz

It needs the package (PyPI: sam2 1.1.0; recorded with torch 2.13 on a CPU, where it fills no holes). Frames are written
as JPEG files, which is what it reads; the decoded ones are recorded too.
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
from video_cases import frames, sample, session, session_of_three_prompts

COUNT = "++model.add_all_frames_to_correct_as_cond=true"
LIMITS = ["++model.memory_temporal_stride_for_eval=2", "++model.max_cond_frames_in_attn=2"]
# Model, size of the input, the session, changes of the settings, and what these are called in the file's name.
RUNS = [
    ("sam2.1_hiera_tiny", "t", 256, session, [], ""),
    ("sam2.1_hiera_tiny", "t", 256, session, [COUNT], "_corrections_count"),
    ("sam2_hiera_tiny", "t", 256, session, [COUNT], "_corrections_count"),
    ("sam2.1_hiera_base_plus", "b+", 256, session, [COUNT], "_corrections_count"),
    ("sam2.1_hiera_tiny", "t", 512, session, [COUNT], "_corrections_count"),
    ("sam2.1_hiera_tiny", "t", 256, session_of_three_prompts, [COUNT, *LIMITS], "_limits"),
]


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as jpegs:
        for index, frame in enumerate(frames()):
            Image.fromarray(frame).save(f"{jpegs}/{index:05d}.jpg", quality=95)
        decoded = np.stack([np.asarray(Image.open(path)) for path in sorted(Path(jpegs).iterdir())])
        np.savez_compressed(folder / "video_frames.npz", frames=decoded)
        for model, short, image_size, steps, changes, suffix in RUNS:
            version = model.partition("_hiera_")[0]
            overrides = [f"++model.image_size={image_size}", *changes]
            predictor = build_sam2_video_predictor(
                f"configs/{version}/{version}_hiera_{short}.yaml",
                None,
                device="cpu",
                mode="eval",
                hydra_overrides_extra=overrides,
            )
            state_dict = {k: torch.from_numpy(draw(k, tuple(v.shape))) for k, v in predictor.state_dict().items()}
            predictor.load_state_dict(state_dict)
            answers = steps(predictor, predictor.init_state(jpegs))
            path = folder / f"video_{model}_{image_size}{suffix}.npz"
            np.savez_compressed(path, **{step: sample(answer) for step, answer in answers.items()})


main()
