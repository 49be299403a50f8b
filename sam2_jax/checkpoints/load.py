# SPDX-License-Identifier: Apache-2.0
"""Weights in and out: `load` finds out what a path holds, `export_torch` writes the published layout.

In: a published `.pt`, safetensors of transformers (a file, a folder, shards) or of ours, an Orbax directory, or the
name of a model that comes with the package. Out: a model and its parameters.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from sam2_jax.checkpoints import one_file, orbax, torch_file, transformers_names
from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.checkpoints.names import from_published, to_published
from sam2_jax.config import PUBLISHED, SAM2Config, change, published_name
from sam2_jax.model import SAM2

_EXPECTED = "expected a .pt file, a .safetensors file or its folder, or an Orbax directory"


def load(
    path: str | os.PathLike, image_size: int | None = None, dtype: str | None = None, **config_overrides
) -> tuple[SAM2, dict]:
    """Reads a checkpoint of any known kind.

    Args:
        path: the file or directory, here or in a bucket (``gs://``), or the name of a model that comes with the
            package. Which of the eight published models a file holds is found out from its tensors, from its
            ``config.json``, or from the config that an Orbax directory or a file of `one_file` carries.
        image_size: side of the square input, any multiple of 32; None for the model's own.
        dtype: ``float32`` or ``bfloat16`` to compute in; parameters stay float32. None for the model's own.
        **config_overrides: further fields of `SAM2Config`. For weights of no published shape, give all that differs
            from `SAM2Config()`.

    Returns:
        The model, hashable and static under jit, and its parameters on the default device. Weights of transformers'
        image-only `Sam2Model` come without the memory's, and serve pictures only.

    Raises:
        FileNotFoundError: there is nothing at the path.
        CheckpointError: what is there is damaged, is no SAM 2, or does not fit the config; all that is missing,
            unused, of another shape or not finite is listed.
        ValueError: an override is unknown or out of range, or the path has an unknown scheme.
    """
    overrides = dict(config_overrides)
    overrides.update({k: v for k, v in (("image_size", image_size), ("dtype", dtype)) if v is not None})
    path = one_file.find_bundled(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {_EXPECTED}.{_where_to_get(path)}")
    if orbax.is_orbax(path):
        config, params = orbax.load(path)
        return SAM2(change(config, **overrides)), params
    state, config = _read(path)
    if transformers_names.is_transformers(state):
        state = transformers_names.to_published_names(state)
    if config is None:
        config = _recognise(state, overrides, path)
    model = SAM2(change(config, **overrides))
    return model, jax.device_put(from_published(model, state, str(path)))


def export_torch(path: str | os.PathLike, model: SAM2, params: dict) -> None:
    """Writes the published `.pt` layout: ``torch.load(path, weights_only=True)["model"]``, bit-exact for float32."""
    torch_file.write(path, to_published(model, params))


def _read(path: Path) -> tuple[dict[str, np.ndarray], SAM2Config | None]:
    """A state dict, and a config where one lies in it or beside it."""
    folder = path if path.is_dir() else path.parent
    if path.suffix in (".pt", ".pth"):
        return torch_file.read(path), None
    if path.is_dir():
        files = _safetensors_of(path)
    elif path.name.endswith(".safetensors.index.json"):
        files = _shards(path)
    elif path.suffix == ".safetensors":
        files = [path]
    else:
        raise CheckpointError(f"{path} is of no known kind; {_EXPECTED}")
    state, config = {}, None
    for file in files:
        tensors, config = one_file.read(file)
        state |= tensors
    config_file = folder / "config.json"
    if transformers_names.is_transformers(state) and config_file.exists():
        config = transformers_names.config_from_transformers(_read_json(config_file))
    return state, config


def _safetensors_of(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return _shards(index)
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    raise CheckpointError(f"{folder} holds neither model.safetensors nor an Orbax checkpoint; {_EXPECTED}")


def _shards(index: Path) -> list[Path]:
    names = _read_json(index).get("weight_map")
    if not isinstance(names, dict):
        raise CheckpointError(f"{index} has no 'weight_map'; expected the index of a sharded checkpoint")
    files = [index.parent / Path(name).name for name in dict.fromkeys(names.values())]
    if absent := [file.name for file in files if not file.exists()]:
        raise CheckpointError(f"{index} names shards that are not there: {', '.join(absent)}")
    return files


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__}; expected an object")
    return value


def _recognise(state: Mapping[str, np.ndarray], overrides: Mapping, path: Path) -> SAM2Config:
    """The published config that the tensors are of, or the defaults where the caller says the rest."""
    wanted = overrides.get("name", "")
    if published_name(wanted):
        return PUBLISHED[published_name(wanted)]
    patches = state.get("image_encoder.trunk.patch_embed.proj.weight")
    if patches is None:
        raise CheckpointError(f"{path} holds no SAM 2: it has no image_encoder.trunk.patch_embed.proj.weight")
    blocks = sum(name.startswith("image_encoder.trunk.blocks.") and name.endswith("norm1.weight") for name in state)
    version_1 = "no_obj_embed_spatial" in state or "maskmem_tpos_enc" not in state
    for config in PUBLISHED.values():
        if (config.embed_dim, sum(config.stages), config.occlusion_embedding) == (len(patches), blocks, version_1):
            return change(config, has_memory="maskmem_tpos_enc" in state)
    if overrides:
        return SAM2Config(name=path.stem)
    raise CheckpointError(
        f"{path} holds an encoder of width {len(patches)} and {blocks} blocks, which no published model has; "
        "give its config, such as load(path, embed_dim=..., stages=...)"
    )


def _where_to_get(path: Path) -> str:
    name = published_name(path.name)
    if name is None:
        return ""
    version, _, size = name.partition("_hiera_")
    return f" {name} can be had from huggingface.co/facebook/{version}-hiera-{size.replace('_', '-')}."
