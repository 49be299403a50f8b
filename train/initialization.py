# SPDX-License-Identifier: Apache-2.0
"""Initialization: new parameters, those of a checkpoint, or a pre-trained image encoder among new ones.

In: a model, a path or None, a seed. Out: the model's parameters, on the host. Published and Orbax checkpoints of SAM 2
are taken whole; of one without a memory, and of Hiera as its authors published it, what is there is taken.

From a Hiera file (``mae_hiera_base_plus_224.pth`` and its like) come the patches, all blocks and the position
embedding; new stay the neck and all behind it; left behind are ``norm``, ``head`` and all that only masked
auto-encoding uses. Its one position embedding, a row for each of 56 x 56 tokens, becomes the two of SAM 2 (Bolya et
al., 2023): the mean over windows of 8 x 8 tokens, and what remains, averaged over the cells of the coarse one.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import einops
import jax
import numpy as np
from flax import traverse_util

import sam2_jax
from sam2_jax.checkpoints import CheckpointError, torch_file
from sam2_jax.checkpoints.names import from_published, published_names, to_published
from sam2_jax.config import SAM2Config
from sam2_jax.model import SAM2
from sam2_jax.model.sam2 import init_params

_TRUNK = "image_encoder.trunk."
_HIERA_LEAVES_BEHIND = re.compile(r"(norm|head|encoder_norm|decoder_\w+|mask_token|multi_scale_fusion_heads)(\.|$)")
# Fields of the config that shape no parameter, and may differ between a checkpoint and the run that goes on with it.
_FREE = frozenset(
    {"name", "dtype", "attention", "precision", "image_size", "drop_path_rate", "memory_attention_dropout"}
    | {"object_pointers", "memory_stride", "attended_prompted_frames", "heed_clicks"}
)
# Freshly initialized cross-attention is nearly uniform: every prompt gets the same answer and memories are averaged.
# Training from scratch leaves that plateau slowly, so a run may ask for a location-aware initialization. In the mask
# decoder the key projection starts as a multiple of the query projection, so that a click attends to its own location.
# In memory attention both biases start as one constant, which RoPE turns into attention that falls with distance.
_DECODER_KEYS = re.compile(r"sam_mask_decoder/.*(cross_attn_\w+|final_attn_token_to_image)/k_proj/kernel$")
_MEMORY_BIASES = re.compile(r"memory_attention/layers_\d+/cross_attn_image/[qk]_proj/bias$")
_KEY_SCALE, _MEMORY_BIAS = 4.0, 2.5


def initial_params(model: SAM2, path: str | None, seed: int, location_aware: bool = False) -> dict:
    """The parameters before the first step.

    Args:
        path: what `sam2_jax.load` reads, or a Hiera file; None for new ones.
        location_aware: whether new cross-attention starts location-aware, and not as the paper's (which is PyTorch's
            default).

    Raises:
        FileNotFoundError: there is nothing at the path.
        CheckpointError: what is there does not fit the model.
    """
    if path is None:
        return _new_params(model, seed, location_aware)
    if Path(path).suffix in (".pt", ".pth") and _is_hiera(state := torch_file.read(path)):
        encoder = _from_hiera(model, state, path)
        return from_published(model, to_published(model, _new_params(model, seed, location_aware)) | encoder, path)
    found, params = sam2_jax.load(path)
    if different := differences(found.config, model.config):
        raise CheckpointError(f"{path} is of another model than this run's: {different}.")
    params = jax.tree.map(np.asarray, params)
    if found.config.has_memory or not model.config.has_memory:
        return params
    flat = traverse_util.flatten_dict(_new_params(model, seed, location_aware)) | traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict(flat)


def _new_params(model: SAM2, seed: int, location_aware: bool) -> dict:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        params = jax.tree.map(np.asarray, init_params(model, jax.random.key(seed)))
    return _location_aware(params) if location_aware else params


def _location_aware(params: dict) -> dict:
    flat = traverse_util.flatten_dict(params)
    for path in flat:
        name = "/".join(path)
        if _DECODER_KEYS.match(name):
            flat[path] = _KEY_SCALE * flat[(*path[:-2], "q_proj", "kernel")]
        elif _MEMORY_BIASES.match(name):
            flat[path] = np.full_like(flat[path], _MEMORY_BIAS)
    return traverse_util.unflatten_dict(flat)


def differences(found: SAM2Config, wanted: SAM2Config) -> str:
    """What keeps parameters of one config from serving a model of another, in words; nothing where they do.

    Those without a memory serve a model with one: it begins with a new memory.
    """
    free = _FREE | (set() if found.has_memory else {"has_memory", "occlusion_embedding", "pointer_temporal_codes"})
    named = (field.name for field in dataclasses.fields(SAM2Config) if field.name not in free)
    pairs = ((name, getattr(found, name), getattr(wanted, name)) for name in named)
    return ", ".join(f"its {name} is {theirs}, and here {ours}" for name, theirs, ours in pairs if theirs != ours)


def _is_hiera(state: Mapping[str, np.ndarray]) -> bool:
    return "blocks.0.attn.qkv.weight" in state and "patch_embed.proj.weight" in state


def _from_hiera(model: SAM2, state: Mapping[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    """Hiera's tensors under SAM 2's published names."""
    renamed = {}
    for name, tensor in state.items():
        if name == "pos_embed":
            renamed |= _position_embeddings(model.config, np.asarray(tensor, np.float32), path)
        elif not _HIERA_LEAVES_BEHIND.match(name):
            name = name.replace(".mlp.fc1.", ".mlp.layers.0.").replace(".mlp.fc2.", ".mlp.layers.1.")
            renamed[_TRUNK + name] = tensor
    wanted = {name for name in published_names(model) if name.startswith(_TRUNK)}
    if missing := sorted(wanted - renamed.keys()):
        raise CheckpointError(f"{path} is a Hiera without {', '.join(missing)}, which {model.config.name} has.")
    return renamed


def _position_embeddings(config: SAM2Config, tokens: np.ndarray, path: str) -> dict[str, np.ndarray]:
    side, window = round(tokens.shape[1] ** 0.5), config.window_sizes[0]
    cells = config.position_embedding_size
    if tokens.ndim != 3 or side * side != tokens.shape[1] or any(side % n for n in (window, *cells)):
        raise CheckpointError(
            f"{path} has a position embedding of shape {tokens.shape}; expected one row for each token of a square "
            f"picture whose side is a multiple of {window} and of {cells} tokens."
        )
    whole = einops.rearrange(tokens[0], "(h w) c -> c h w", h=side)
    of_window = einops.reduce(whole, "c (r y) (q x) -> 1 c y x", "mean", y=window, x=window)
    repeats = side // window
    rest = whole - np.tile(of_window[0], (1, repeats, repeats))
    of_map = einops.reduce(rest, "c (h y) (w x) -> 1 c h w", "mean", h=cells[0], w=cells[1])
    return {f"{_TRUNK}pos_embed": of_map, f"{_TRUNK}pos_embed_window": of_window}
