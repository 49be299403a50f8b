# SPDX-License-Identifier: Apache-2.0
"""A whole training run in numbers: `TrainConfig`, and the checks that do not need a compiled step.

In: what a file of ``configs/`` says. Out: a frozen dataclass; `check` raises for what could only fail later.
"""

import dataclasses
import json
import shutil
import uuid
from pathlib import Path

import jax
from jax.sharding import Mesh

from data.config import DataConfig
from sam2_jax.config import SAM2Config
from sam2_jax.media.files import replacing
from sam2_jax.media.paths import is_remote
from train.checkpoint import CheckpointConfig
from train.evaluation import EvaluationConfig
from train.frame import Rematerialise
from train.losses import LossWeights
from train.optimizer import OptimizerConfig
from train.prompts import SimulatedUser
from train.sharding import MeshConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
        model: the network; `sam2_jax.config.published_config` gives the published ones, with changes.
        data: what it is trained on.
        steps: how many batches.
        init_from: the weights it begins with (`train.initialization`); None for new ones. A run that has checkpoints
            of its own goes on from the latest instead.
        location_aware_initialization: whether new weights start with cross-attention that attends to its own location,
            which a small model trained from nothing needs; the paper's does not.
        user: who prompts it.
        loss: what the kinds of loss count.
        optimizer: how weights change.
        mesh: how devices are laid out.
        rematerialise: what the backward pass computes anew to save memory.
        checkpoints: when they are written and which are kept.
        evaluation: what is evaluated meanwhile; None for nothing.
        seed: of new parameters, the simulated user and dropout; `data.seed` is that of the data.
        log_every: steps between two lines of metrics.
    """

    model: SAM2Config
    data: DataConfig
    steps: int
    init_from: str | None = None
    location_aware_initialization: bool = False
    user: SimulatedUser = dataclasses.field(default_factory=SimulatedUser)
    loss: LossWeights = dataclasses.field(default_factory=LossWeights)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    rematerialise: Rematerialise = dataclasses.field(default_factory=Rematerialise)
    checkpoints: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    evaluation: EvaluationConfig | None = None
    seed: int = 0
    log_every: int = 10

    def __post_init__(self):
        for name in ("steps", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"TrainConfig.{name} is {getattr(self, name)}; expected 1 or more.")


def check(config: TrainConfig, mesh: Mesh) -> None:
    """Finds what does not fit together, before anything is read or compiled.

    Raises:
        ValueError: the first such thing, in a sentence.
    """
    if config.model.image_size != config.data.image_size:
        raise ValueError(
            f"model.image_size is {config.model.image_size} and data.image_size {config.data.image_size}; expected the "
            "same."
        )
    for number, entry in enumerate(config.data.entries):
        _check_batch_size(f"data.entries.{number}.batch_size", entry.batch_size, config.optimizer.microbatches, mesh)
        if entry.clip.frames > 1 and not config.model.has_memory:
            raise ValueError(
                f"data.entries.{number} has clips of {entry.clip.frames} frames, which a model without a memory "
                "(model.has_memory=false) cannot follow."
            )
    evaluation = config.evaluation
    if evaluation and not config.model.has_memory and (evaluation.frames > 1 or evaluation.prompt == "mask"):
        raise ValueError(
            f"evaluation has {evaluation.frames} frames and the prompt {evaluation.prompt!r}; expected 1 frame and "
            "'click' for a model without a memory (model.has_memory=false)."
        )


def _check_batch_size(name: str, clips: int, microbatches: int, mesh: Mesh) -> None:
    """A clip is whole on one device, with all its objects, so that every device needs one of each microbatch."""
    devices, parts = mesh.size, mesh.size * microbatches
    if clips % parts == 0:
        return
    sentence = (
        f"{name} is {clips}; expected a multiple of {parts}, which is {devices} devices times {microbatches} "
        "microbatches."
    )
    if clips < parts:
        hosts = len({device.process_index for device in mesh.devices.flat})
        each = devices // hosts
        # Devices are taken by whole hosts, or some of one.
        counts = (count for count in range(1, devices) if count < each or count % each == 0)
        fewer = max((count for count in counts if clips % (count * microbatches) == 0), default=None)
        sentence += f" No clip is divided: --set {name}={parts} gives every device {microbatches} of them"
        sentence += f", and each of the {hosts} hosts {parts // hosts}" if hosts > 1 else ""
        if clips % devices == 0:
            sentence += "; --set optimizer.microbatches=1 takes the batch as it is"
        elif fewer:
            sentence += f"; {fewer} device{'s' * (fewer > 1)} can train on the batch as it is"
            sentence += f", which is {fewer // each} of the hosts" if hosts > 1 and fewer >= each else ""
        sentence += "."
    raise ValueError(sentence)


def check_space(workdir: Path, checkpoint_bytes: int, config: CheckpointConfig) -> None:
    """Finds at once that the checkpoints that are kept at a time cannot all be written.

    Raises:
        OSError: there is less space on the disk than they take, less what they take already; or the bucket, which has
            room for all, cannot be written to.
    """
    if is_remote(workdir):
        _check_bucket(workdir)
        return
    needed = checkpoint_bytes * (config.keep_last + 1)
    taken = sum(file.stat().st_size for file in (workdir / "checkpoints").rglob("*") if file.is_file())
    free = shutil.disk_usage(workdir).free
    if free + taken < needed:
        raise OSError(
            f"{workdir} has {free / 1e9:.1f} GB free; expected at least {(needed - taken) / 1e9:.1f} GB more for "
            f"{config.keep_last + 1} checkpoints of {checkpoint_bytes / 1e9:.2f} GB."
        )


def _check_bucket(workdir: Path) -> None:
    trial = workdir / f"trial_{uuid.uuid4().hex}"
    try:
        trial.write_bytes(b"")
        trial.unlink()
    except Exception as error:  # what the file system's client raises: there is no such bucket, or no permission
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise OSError(f"{workdir} cannot be written to ({reason}); expected a bucket of yours.") from error


def write_config(config: TrainConfig, workdir: Path) -> None:
    """Writes ``config.json``, for people to read; every start of the run writes it anew."""
    if jax.process_index() == 0:
        with replacing(workdir / "config.json") as file:
            file.write(json.dumps(dataclasses.asdict(config), indent=1, default=repr).encode())
