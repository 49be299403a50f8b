# SPDX-License-Identifier: Apache-2.0
"""Orbax checkpoints: a directory that holds parameters as the item ``params`` and the model's config as metadata.

In and out: a model and its parameters. The trainer writes the same item beside its own, so either directory loads here.
No other file of the package imports Orbax, whose API still moves.
"""

import dataclasses
import logging
import os
from pathlib import Path

import jax
from orbax.checkpoint import v1 as ocp

from sam2_jax.checkpoints.carried_config import KEY, carried_config
from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.config import SAM2Config
from sam2_jax.media.paths import absolute, as_path
from sam2_jax.model import SAM2, abstract_params

_ITEM = "params"


def save(directory: str | os.PathLike, model: SAM2, params: dict) -> None:
    """Writes parameters and config; the directory appears whole or not at all.

    Raises:
        FileExistsError: the directory is there already.
    """
    path = absolute(as_path(directory))
    if path.exists():
        raise FileExistsError(f"{path} exists already; a checkpoint is written to a directory of its own.")
    metadata = {KEY: dataclasses.asdict(model.config)}
    ocp.save_checkpointables(path, {_ITEM: params}, custom_metadata=metadata)


def is_orbax(path: Path) -> bool:
    """Whether the directory holds an Orbax checkpoint."""
    return path.is_dir() and (path / "_CHECKPOINT_METADATA").exists()


def load(path: Path) -> tuple[SAM2Config, dict]:
    """Reads the config and the parameters of a directory that `save` or the trainer wrote.

    Raises:
        CheckpointError: the directory is not whole, holds no SAM 2 config, or not the parameters that its config says.
    """
    path = absolute(path)
    try:
        metadata = ocp.checkpointables_metadata(path).custom_metadata or {}
    except Exception as error:  # Orbax raises what its storage raises
        raise CheckpointError(f"{path} is not a readable Orbax checkpoint: {_first_line(error)}") from error
    if KEY not in metadata:
        raise CheckpointError(
            f"{path} is an Orbax checkpoint without a SAM 2 config; expected one that this project wrote"
        )
    config = carried_config(metadata[KEY], path)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), abstract_params(SAM2(config))
    )
    quiet = logging.getLogger("absl")
    level = quiet.level
    try:
        quiet.setLevel(logging.ERROR)  # Orbax tells each file it opens
        return config, ocp.load_checkpointables(path, {_ITEM: wanted})[_ITEM]
    except Exception as error:
        raise CheckpointError(f"{path} does not hold the weights of its own config: {_first_line(error)}") from error
    finally:
        quiet.setLevel(level)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
