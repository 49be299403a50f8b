# SPDX-License-Identifier: Apache-2.0
"""Records how the published training recipe groups parameters, and three steps of its optimizer.

    python tests/recorded/make_optimizer.py tests/recorded/optimizer.json.gz

It needs the PyTorch package with its training part (PyPI: sam2 1.1.0; recorded with torch 2.13). For each model:
every parameter's weight decay and its learning rate at four fractions of the run; and, for the parameters in `STEPPED`
alone, sums over their values after each of three clipped steps, from weights and gradients drawn by rule.
"""

import gzip
import json
import sys
from pathlib import Path

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from sam2.build_sam import build_sam2
from training.optimizer import construct_optimizer
from training.utils.train_utils import register_omegaconf_resolvers

sys.path.insert(0, str(Path(__file__).parents[1]))
from optimizer_cases import STEPPED, STEPPED_FACTOR, WHERE, gradient
from rule_weights import draw

MODELS = {"sam2.1_hiera_tiny": "t", "sam2.1_hiera_base_plus": "b+"}


def published_optimizer(model, factor: float):
    """The recipe's optimizer, with its learning rates times a factor: steps of 5e-6 drown in the weights' rounding."""
    config = compose("configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml")
    with open_dict(config):
        config.scratch.base_lr *= factor
        config.scratch.vision_lr *= factor
        optim = OmegaConf.create({"optim": config.trainer.optim, "scratch": config.scratch})
    OmegaConf.resolve(optim)
    optim = optim.optim
    optimizer = construct_optimizer(model, optim.optimizer, optim.options, optim.param_group_modifiers)
    return optimizer, instantiate(optim.gradient_clip)


def groups_of(model, optimizer) -> dict[str, list[float]]:
    """Name -> weight decay, then the learning rate at each of `WHERE`."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    table = {name: [] for name in names.values()}
    for index, where in enumerate(WHERE):
        optimizer.step_schedulers(where, step=0)
        for group in optimizer.optimizer.param_groups:
            for parameter in group["params"]:
                row = table[names[id(parameter)]]
                row += [group["weight_decay"]] * (index == 0) + [group["lr"]]
    return table


def three_steps(model, optimizer, clipper) -> dict[str, list[float]]:
    """Name -> the inner product of its change so far with a rule vector, after each step."""
    parameters = {name: p for name, p in model.named_parameters() if name in STEPPED}
    for name, parameter in parameters.items():
        parameter.data = torch.from_numpy(draw(name, tuple(parameter.shape)))
    sums = {name: [] for name in parameters}
    for step, where in enumerate(WHERE[:3]):
        for name, parameter in parameters.items():
            parameter.grad = torch.from_numpy(gradient(name, tuple(parameter.shape), step))
        optimizer.step_schedulers(where, step=step)
        clipper(model)
        optimizer.optimizer.step()
        for name, parameter in parameters.items():
            shape = tuple(parameter.shape)
            change = parameter.detach().double().numpy() - draw(name, shape)
            sums[name].append(float((change * draw("dot/" + name, shape)).sum()))
    return sums


def main() -> None:
    recorded = {}
    for name, short in MODELS.items():
        model = build_sam2(f"configs/sam2.1/sam2.1_hiera_{short}.yaml", None, device="cpu", mode="train")
        recorded[name] = {
            "groups": groups_of(model, published_optimizer(model, 1)[0]),
            "steps": three_steps(model, *published_optimizer(model, STEPPED_FACTOR)),
            "shapes": {name: list(p.shape) for name, p in model.named_parameters() if name in STEPPED},
        }
    with open(sys.argv[1], "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
        packed.write(json.dumps(recorded).encode())


if __name__ == "__main__":
    register_omegaconf_resolvers()
    main()
