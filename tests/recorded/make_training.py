# SPDX-License-Identifier: Apache-2.0
"""Records steps of the published training recipe: losses and gradients, with the simulated user's decisions.

    python tests/recorded/make_training.py tests/recorded          # writes training_CASE.npz

It needs the PyTorch package with its training part (PyPI: sam2 1.1.0; recorded with torch 2.13 on a CPU). The model is
the tiny one with weights drawn by rule, and drops nothing; the clips are made up, by `training_cases.make_clip`. Each
file is one for `python -m tests.replay_training`:

    length, objects, size, seed     of the clip; the seed is also that of the weights
    init_cond_frames, corrected_frames
    frame{t}_points, _labels        (O, P, 2) pixels and (O, P): all points of the frame, where it has any
    frame{t}_steps                  how often the model was asked, and of each time
    frame{t}_step{k}_ious, _object_score, _masks (every 4th pixel of the low-resolution logits)
    loss_mask, loss_dice, loss_iou, loss_class, loss_total
    parameters (N,), grad_norm (N,), grad_dot (N,), the last with the rule's numbers for "dot/PARAMETER"
"""

import sys
from pathlib import Path

import numpy as np
import sam2.build_sam  # noqa: F401  registers the configurations
import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from training.utils.data_utils import BatchedVideoDatapoint, BatchedVideoMetaData
from training.utils.train_utils import register_omegaconf_resolvers

sys.path.insert(0, str(Path(__file__).parents[1]))
from rule_weights import draw
from training_cases import make_clip

SIZE, OBJECTS = 128, 2
# Length, seed, and the probabilities of points of any kind and, of these, of boxes.
CASES = {
    "picture": (1, 3, 1.0, 0.0),
    "clicks": (4, 5, 1.0, 0.0),  # the third frame is corrected too
    "click_and_box": (3, 4, 1.0, 0.5),  # the first frame is clicked on, the last one has a box
    "masks": (4, 4, 0.0, 0.0),  # two frames are prompted
    "absent": (3, 1, 0.0, 0.0),  # the model takes objects not to be there
}
TINY = dict(embed_dim=96, num_heads=1, stages=[1, 2, 7, 2], global_att_blocks=[5, 7, 9], drop_path_rate=0.0)
TINY |= dict(window_pos_embed_bkg_spatial_size=[7, 7])
MEAN, DEVIATION = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])


def published(points: float, boxes: float) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The model in training and its loss, as the recipe has them but for the size and what is dropped."""
    config = compose("configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml")
    with open_dict(config):
        config.scratch.resolution = SIZE
        config.trainer.data = config.launcher = config.submitit = None
        model, loss = config.trainer.model, config.trainer.loss.all
        model.image_encoder.trunk.update(TINY)
        model.image_encoder.neck.backbone_channel_list = [768, 384, 192, 96]
        layer = model.memory_attention.layer
        layer.dropout = layer.self_attention.dropout = layer.cross_attention.dropout = 0.0
        model.prob_to_use_pt_input_for_train, model.prob_to_use_box_input_for_train = points, boxes
    OmegaConf.resolve(model)
    return instantiate(model).train(), instantiate(loss)


def batch_of(frames: np.ndarray, masks: np.ndarray) -> BatchedVideoDatapoint:
    length, objects = masks.shape[:2]
    pictures = ((torch.from_numpy(frames) - MEAN) / DEVIATION).permute(0, 3, 1, 2)
    index = torch.zeros(length, objects, 2, dtype=torch.int)
    index[..., 0] = torch.arange(length)[:, None]
    about = BatchedVideoMetaData(
        unique_objects_identifier=torch.zeros(length, objects, 3, dtype=torch.long),
        frame_orig_size=torch.full((length, objects, 2), SIZE),
        batch_size=[length],
    )
    return BatchedVideoDatapoint(
        img_batch=pictures[:, None],
        obj_to_frame_idx=index,
        masks=torch.from_numpy(masks),
        metadata=about,
        dict_key="all",
        batch_size=[length],
    )


def record(length: int, seed: int, points: float, boxes: float) -> dict:
    torch.manual_seed(seed)
    model, criterion = published(points, boxes)
    weights = {name: draw(name, tuple(tensor.shape), seed) for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    model.rng = np.random.default_rng(seed)
    batch = batch_of(*make_clip(length, OBJECTS, SIZE, seed))
    plan = {}
    prepare = model.prepare_prompt_inputs
    model.prepare_prompt_inputs = lambda *arguments: plan.update(prepare(*arguments)) or plan

    answers = model(batch)
    losses = criterion(answers, batch.masks)
    losses["core_loss"].backward()

    result = dict(length=length, objects=OBJECTS, size=SIZE, seed=seed, loss_total=losses["core_loss"].item())
    result |= {name: value.item() for name, value in losses.items() if name.startswith("loss_")}
    result |= dict(init_cond_frames=plan["init_cond_frames"], corrected_frames=plan["frames_to_add_correction_pt"])
    for frame, answer in enumerate(answers):
        given = answer["multistep_point_inputs"][-1]
        if given is not None:
            result[f"frame{frame}_points"] = given["point_coords"].numpy()
            result[f"frame{frame}_labels"] = given["point_labels"].numpy()
        result[f"frame{frame}_steps"] = len(answer["multistep_pred_ious"])
        for step in range(result[f"frame{frame}_steps"]):
            said = f"frame{frame}_step{step}"
            result[f"{said}_ious"] = answer["multistep_pred_ious"][step].detach().numpy()
            result[f"{said}_object_score"] = answer["multistep_object_score_logits"][step].detach().numpy()
            result[f"{said}_masks"] = answer["multistep_pred_multimasks"][step].detach().numpy()[..., ::4, ::4]
    gradients = {
        name: np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.double().numpy()
        for name, parameter in model.named_parameters()
    }
    result["parameters"] = list(gradients)
    result["grad_norm"] = [np.linalg.norm(array) for array in gradients.values()]
    result["grad_dot"] = [
        (gradient * draw(f"dot/{name}", gradient.shape)).sum() for name, gradient in gradients.items()
    ]
    return result


def main() -> None:
    register_omegaconf_resolvers()
    for name, case in CASES.items():
        result = record(*case)
        print(name, {key: result[key] for key in ("init_cond_frames", "corrected_frames", "loss_total")})
        np.savez_compressed(Path(sys.argv[1]) / f"training_{name}.npz", **result)


main()
