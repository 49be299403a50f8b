# SPDX-License-Identifier: Apache-2.0
"""Records what the published PyTorch package answers on a made-up picture, with weights drawn by rule.

    python tests/recorded/make_images.py tests/recorded          # writes image_MODEL_SIZE.npz

It needs the package (PyPI: sam2 1.1.0; recorded with torch 2.13 on a CPU). Of the features and masks a sample is kept,
of the scores all. With ``--full DIR`` everything is written there too, for a comparison value by value; then of 2.0 as
well, whose pictures' part is that of 2.1 (the files are equal), so that only 2.1 is kept.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

sys.path.insert(0, str(Path(__file__).parents[1]))
from image_cases import picture, prompts, sample
from rule_weights import draw

SHORT = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
MODELS = [f"{version}_hiera_{size}" for version in ("sam2", "sam2.1") for size in SHORT]
RUNS = [("sam2.1_hiera_tiny", 256), ("sam2.1_hiera_tiny", 512), *((model, 1024) for model in MODELS)]


def record(model: str, image_size: int) -> dict[str, np.ndarray]:
    version, _, size = model.partition("_hiera_")
    config = f"configs/{version}/{version}_hiera_{SHORT[size]}.yaml"
    overrides = [f"++model.image_size={image_size}"]
    network = build_sam2(config, None, device="cpu", mode="eval", hydra_overrides_extra=overrides)
    network.load_state_dict({k: torch.from_numpy(draw(k, tuple(v.shape))) for k, v in network.state_dict().items()})
    predictor = SAM2ImagePredictor(network)
    side = image_size // 16
    predictor._bb_feat_sizes = [(4 * side, 4 * side), (2 * side, 2 * side), (side, side)]
    predictor.set_image(picture())
    stride_4, stride_8 = predictor._features["high_res_feats"]
    outputs = {
        "embedding": predictor.get_image_embedding().numpy(),
        "stride_8": stride_8.numpy(),
        "stride_4": stride_4.numpy(),
    }
    scores = []
    network.sam_mask_decoder.register_forward_hook(lambda module, given, answer: scores.append(answer[3].numpy()))
    for case, arguments in prompts(4 * side).items():
        masks, ious, low = predictor.predict(**arguments, return_logits=True)
        outputs |= {f"{case}/masks": masks, f"{case}/ious": ious, f"{case}/low": low}
        outputs[f"{case}/object_score"] = scores[-1].reshape(-1)
    return outputs


def main() -> None:
    folder = Path(sys.argv[1])
    full = Path(sys.argv[3]) if sys.argv[2:3] == ["--full"] else None
    torch.set_grad_enabled(False)
    for model, image_size in RUNS:
        outputs = record(model, image_size)
        if full:
            full.mkdir(parents=True, exist_ok=True)
            np.savez(full / f"image_{model}_{image_size}.npz", **outputs)
        small = {k: v if v.size < 100 else sample(v).astype(np.float32) for k, v in outputs.items()}
        if model.startswith("sam2_"):
            continue
        np.savez_compressed(folder / f"image_{model}_{image_size}.npz", **small)


main()
