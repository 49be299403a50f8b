# SPDX-License-Identifier: Apache-2.0
"""Replays a training step that the published PyTorch package has recorded, and compares losses and gradients.

    python -m tests.replay_training FILE.npz [--json]

FILE holds made-up frames and masks, what the simulated user did, and what came of it: losses, and of each parameter's
gradient the norm and the inner product with numbers drawn by rule. Weights are drawn by rule too, by the seed in the
file. The exit code is 0 where everything is within its tolerance, 1 where something is not, 2 for a bad file.
"""

import argparse
import json
import re
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from rule_weights import draw
from training_cases import make_clip

from sam2_jax.checkpoints.names import from_published, published_names, to_published
from sam2_jax.config import PUBLISHED, change
from sam2_jax.model import SAM2
from sam2_jax.segmentation import COLOUR_DEVIATION, COLOUR_MEAN
from sam2_jax.target import compiling_for
from sam2_jax.types import Label
from train.frame import Rematerialise
from train.losses import LossWeights, clip_loss
from train.prompts import FIRST_POINTS, Decisions, FirstPrompt, Points, SimulatedUser, processing_order
from train.rollout import rollout

LOSSES = {"loss_total": "loss", "loss_mask": "loss/focal", "loss_dice": "loss/dice"}
LOSSES |= {"loss_iou": "loss/iou", "loss_class": "loss/occlusion"}
LOSS_TOLERANCE = 1e-4  # relative
GRADIENT_TOLERANCE = 1e-3  # of a norm, relative; of an inner product, relative to the product of the norms
ANSWER_TOLERANCE = 1e-3  # of predicted IoUs and object scores, absolute; of masks, relative to their norm
# In the mask decoder a key's bias moves all scores of a softmax alike: its gradient is zero, and what is found is
# rounding errors, in theirs as in ours. They need only be small beside the largest norm. (Memory attention turns keys.)
ONLY_ROUNDING = re.compile(r"sam_mask_decoder\..+\.k_proj\.bias")
ROUNDING_TOLERANCE = 1e-7

USER = SimulatedUser()


def load(path: Path) -> dict:
    """The recorded arrays by name, with ``frames`` (T, S, S, 3) in 0..255, and gradients by parameter.

    Raises:
        ValueError: it is no such file.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a recorded training step: expected an NPZ file.")
    with np.load(path) as archive:
        file = dict(archive)
    missing = {"init_cond_frames", "corrected_frames", "seed", *LOSSES} - file.keys()
    if missing:
        raise ValueError(f"{path} is not a recorded training step: it has no {', '.join(sorted(missing))}.")
    if "images" in file:
        file["frames"] = np.moveaxis(file["images"], 1, -1) * COLOUR_DEVIATION + COLOUR_MEAN
    else:
        clip = (int(file[name]) for name in ("length", "objects", "size", "seed"))
        file["frames"], file["masks"] = make_clip(*clip)
    for number, name in enumerate(file.get("parameters", ())):
        file |= {f"{kind}/{name}": file[kind][number] for kind in ("grad_norm", "grad_dot")}
    return file


def recorded_decisions(file: dict) -> Decisions:
    """What the recorded user did."""
    length, objects = file["masks"].shape[:2]
    first = np.full(length, FirstPrompt.NONE)
    corrected = np.isin(np.arange(length), file["corrected_frames"])
    xy = np.zeros((length, 1, objects, FIRST_POINTS + USER.clicks, 2), np.float32)
    labels = np.full(xy.shape[:-1], Label.PADDING)
    for frame in range(length):
        prompted = frame in file["init_cond_frames"]
        if f"frame{frame}_points" not in file:
            first[frame] = FirstPrompt.MASK if prompted else FirstPrompt.NONE
            continue
        points, its_labels = file[f"frame{frame}_points"], file[f"frame{frame}_labels"]
        is_box = its_labels[0, 0] == Label.BOX_TOP_LEFT
        if prompted:
            first[frame] = FirstPrompt.BOX if is_box else FirstPrompt.CLICK
        of_first = {FirstPrompt.NONE: 0, FirstPrompt.CLICK: 1, FirstPrompt.BOX: 2}[first[frame]]
        slots = [*range(of_first), *range(FIRST_POINTS, FIRST_POINTS + points.shape[1] - of_first)]
        xy[frame, 0][:, slots], labels[frame, 0][:, slots] = points, its_labels
    return Decisions(
        first=first.astype(np.int32),
        corrected=corrected,
        order=processing_order(first),
        on_truth=np.zeros((length, USER.clicks), bool),
        points=Points(xy, labels.astype(np.int32)),
    )


def run(model: SAM2, params: dict, file: dict, rematerialise: Rematerialise) -> tuple[dict, dict, dict]:
    """Our losses, our gradients by published name, and our answers at every step."""
    frames, masks = file["frames"][None], file["masks"][None]
    batch = dict(frames=frames, masks=masks, valid=np.ones((1, masks.shape[2]), bool))
    decisions, key = recorded_decisions(file), jax.random.key(0)

    @jax.jit
    def gradients_and_losses(params, batch, decisions):
        def loss(params):
            return clip_loss(model, params, batch, decisions, key, USER, LossWeights(), rematerialise)

        return jax.grad(loss, has_aux=True)(params)

    @jax.jit
    def look(params, batch, decisions):
        def say(answer, truth):
            return dict(ious=answer.ious, object_score=answer.object_score, masks=answer.logits[..., ::4, ::4])

        return rollout(model, params, batch["frames"], batch["masks"], decisions, key, USER, say, rematerialise)[0]

    with compiling_for(precision="highest"):
        gradients, losses = gradients_and_losses(params, batch, decisions)
        answers = look(params, batch, decisions)
    return jax.device_get(losses), to_published(model, gradients), jax.device_get(answers)


def compare_losses(file: dict, losses: dict) -> dict:
    report = {}
    for name, ours in LOSSES.items():
        error = abs(losses[ours] - file[name]) / max(abs(file[name]), 1e-12)
        report[name] = dict(
            ours=float(losses[ours]), theirs=float(file[name]), error=float(error), within=bool(error <= LOSS_TOLERANCE)
        )
    return report


def compare_gradients(file: dict, gradients: dict) -> dict:
    """The worst errors of norms and inner products, and what they are of."""
    theirs = {name.removeprefix("grad_norm/"): value for name, value in file.items() if name.startswith("grad_norm/")}
    largest = max(theirs.values())
    errors = dict(norm={}, inner_product={}, only_rounding={})
    for name, norm in theirs.items():
        gradient = gradients[name].astype(np.float64)
        ours, ruler = np.linalg.norm(gradient), draw(f"dot/{name}", gradient.shape)
        if ONLY_ROUNDING.fullmatch(name):
            errors["only_rounding"][name] = max(ours, norm) / largest
            continue
        # What takes no part, such as the corners of boxes where there are none, has a gradient of exactly zero.
        floor = np.finfo(np.float32).tiny
        errors["norm"][name] = abs(ours - norm) / max(norm, floor)
        product = abs((gradient * ruler).sum() - file[f"grad_dot/{name}"])
        errors["inner_product"][name] = product / max(norm * np.linalg.norm(ruler), floor)
    report = dict(compared=len(theirs))
    for kind, of_each in errors.items():
        worst = max(of_each, key=of_each.get)
        tolerance = ROUNDING_TOLERANCE if kind == "only_rounding" else GRADIENT_TOLERANCE
        report[kind] = dict(worst=worst, error=float(of_each[worst]), within=bool(of_each[worst] <= tolerance))
    return report


def compare_answers(file: dict, answers: dict) -> list[dict]:
    """The worst error of each step in which the model was asked."""
    report = []
    for frame in range(len(file["masks"])):
        for step in range(int(file[f"frame{frame}_steps"])):
            theirs = {kind: file[f"frame{frame}_step{step}_{kind}"] for kind in ("ious", "object_score", "masks")}
            if step == 0 and frame in file["init_cond_frames"] and f"frame{frame}_points" not in file:
                continue  # the user gave the mask
            ours = {kind: answers[kind][frame, step, 0] for kind in theirs}
            candidates = slice(1, None) if theirs["ious"].shape[1] == 3 else slice(0, 1)
            ious = np.abs(ours["ious"][:, candidates] - theirs["ious"]).max()
            score = np.abs(ours["object_score"] - theirs["object_score"][:, 0]).max()
            masks = np.linalg.norm(ours["masks"][:, candidates] - theirs["masks"]) / np.linalg.norm(theirs["masks"])
            worst = max(ious, score, masks)
            report.append(
                dict(frame=frame, step=step, ious=float(ious), object_score=float(score), masks=float(masks))
                | dict(within=bool(worst <= ANSWER_TOLERANCE))
            )
    return report


def replay(file: dict, rematerialise: Rematerialise = Rematerialise()) -> dict:  # noqa: B008, it is frozen
    """The whole comparison: losses, gradients, answers, and whether all is within its tolerance."""
    config = change(
        PUBLISHED["sam2.1_hiera_tiny"],
        image_size=file["masks"].shape[-1],
        drop_path_rate=0.0,
        memory_attention_dropout=0.0,
    )
    model = SAM2(config)
    state = {name: draw(name, entry.shape, int(file["seed"])) for name, entry in published_names(model).items()}
    losses, gradients, answers = run(model, from_published(model, state, "rule"), file, rematerialise)
    report = dict(
        losses=compare_losses(file, losses),
        gradients=compare_gradients(file, gradients),
        answers=compare_answers(file, answers),
    )
    kinds = [report["gradients"][kind] for kind in ("norm", "inner_product", "only_rounding")]
    items = [*report["losses"].values(), *kinds, *report["answers"]]
    return dict(within=all(item["within"] for item in items)) | report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print the whole comparison as JSON, not a summary")
    arguments = parser.parse_args()
    try:
        file = load(arguments.file)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    report = replay(file)
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        for name, loss in report["losses"].items():
            print(f"{name:12} ours {loss['ours']:.6f} theirs {loss['theirs']:.6f} relative error {loss['error']:.1e}")
        for kind in ("norm", "inner_product", "only_rounding"):
            worst = report["gradients"][kind]
            print(f"gradients, worst {kind}: {worst['error']:.1e} ({worst['worst']})")
        for kind in ("ious", "object_score", "masks"):
            if report["answers"]:
                print(f"answers, worst {kind}: {max(step[kind] for step in report['answers']):.1e}")
        print("all within tolerance" if report["within"] else "NOT within tolerance")
    return 0 if report["within"] else 1


if __name__ == "__main__":
    sys.exit(main())
