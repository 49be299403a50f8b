# SPDX-License-Identifier: Apache-2.0
"""A model in one small file: safetensors in bfloat16 under the published names, with the model's config in its header.

In and out: a model and its parameters. The weights that come with the package are such files, in ``sam2_jax/bundled/``.
"""

import dataclasses
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.flax import save

from sam2_jax.checkpoints.carried_config import KEY, carried_config
from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.checkpoints.names import to_published
from sam2_jax.config import SAM2Config
from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path, local_file
from sam2_jax.model import SAM2

BUNDLED = Path(__file__).parents[1] / "bundled"


def write(path: str | os.PathLike, model: SAM2, params: dict) -> None:
    """Writes the file; half the size of the parameters, which lose what bfloat16 does not hold."""
    state = {name: jnp.asarray(tensor, jnp.bfloat16) for name, tensor in to_published(model, params).items()}
    with replacing(path) as file:
        file.write(save(state, {KEY: json.dumps(dataclasses.asdict(model.config))}))


def read(path: Path) -> tuple[dict[str, np.ndarray], SAM2Config | None]:
    """The tensors of any safetensors file, and the config in its header; None where there is none.

    Raises:
        CheckpointError: the file is damaged, or its config is of another version.
    """
    try:
        with local_file(path) as copy, safe_open(copy, framework="flax") as file:
            metadata = file.metadata() or {}
            state = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from None
    if KEY not in metadata:
        return state, None
    try:
        fields = json.loads(metadata[KEY])
    except ValueError as error:
        raise CheckpointError(f"{path} holds a config that is not valid JSON: {error}") from None
    return state, carried_config(fields, path)


def find_bundled(name: str | os.PathLike) -> Path:
    """The file of a bundled name, such as ``nano``; the path itself for all others, and where a path is so called."""
    path, file = as_path(name), BUNDLED / f"{name}.safetensors"
    return file if len(path.parts) == 1 and file.exists() and not path.exists() else path
