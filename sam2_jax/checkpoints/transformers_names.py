# SPDX-License-Identifier: Apache-2.0
"""The names that Hugging Face transformers gives the same tensors, in `Sam2Model` and `Sam2VideoModel`.

In: a state dict of transformers' names, and its ``config.json`` where there is one.
Out: the published names, and a `SAM2Config`.
"""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.config import PUBLISHED, SAM2Config

# Applied in this order; each line is one difference between the two vocabularies.
_RENAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # single tensors
        (r"^no_memory_embedding$", "no_mem_embed"),
        (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
        (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
        (r"^no_object_pointer$", "no_obj_ptr"),
        (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
        # perceptrons of three layers
        (r"(hypernetworks_mlps\.\d|_head|^object_pointer_proj)\.proj_out\.", r"\1.layers.2."),
        (r"(hypernetworks_mlps\.\d|_head|^object_pointer_proj)\.layers\.0\.", r"\1.layers.1."),
        (r"(hypernetworks_mlps\.\d|_head|^object_pointer_proj)\.proj_in\.", r"\1.layers.0."),
        (r"^object_pointer_proj\.", "obj_ptr_proj."),
        (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
        # perceptrons of two layers
        (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
        (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
        # image encoder
        (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
        (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
        (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
        # prompt encoder
        (r"^prompt_encoder\.mask_embed\.conv1\.", "sam_prompt_encoder.mask_downscaling.0."),
        (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "sam_prompt_encoder.mask_downscaling.1."),
        (r"^prompt_encoder\.mask_embed\.conv2\.", "sam_prompt_encoder.mask_downscaling.3."),
        (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "sam_prompt_encoder.mask_downscaling.4."),
        (r"^prompt_encoder\.mask_embed\.conv3\.", "sam_prompt_encoder.mask_downscaling.6."),
        (r"^prompt_encoder\.", "sam_prompt_encoder."),
        # mask decoder
        (r"^mask_decoder\.upscale_conv1\.", "sam_mask_decoder.output_upscaling.0."),
        (r"^mask_decoder\.upscale_layer_norm\.", "sam_mask_decoder.output_upscaling.1."),
        (r"^mask_decoder\.upscale_conv2\.", "sam_mask_decoder.output_upscaling.3."),
        (r"^mask_decoder\.", "sam_mask_decoder."),
        # memory encoder
        (r"\.mask_downsampler\.final_conv\.", ".mask_downsampler.encoder.12."),
        (r"^memory_encoder\.feature_projection\.", "memory_encoder.pix_feat_proj."),
        (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
        (r"^memory_encoder\.memory_fuser\.", "memory_encoder.fuser."),
        (r"(fuser\.layers\.\d)\.scale$", r"\1.gamma"),
        (r"(fuser\.layers\.\d)\.depthwise_conv\.", r"\1.dwconv."),
        (r"(fuser\.layers\.\d)\.pointwise_conv(\d)\.", r"\1.pwconv\2."),
        # everywhere
        (r"\.o_proj\.", ".out_proj."),
        (r"\.layer_norm(\d?)\.", r".norm\1."),
        (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    )
]
_DOWNSAMPLER = re.compile(r"^memory_encoder\.mask_downsampler\.layers\.(\d)\.(conv|layer_norm)\.")
_POINTS = "prompt_encoder.point_embed.weight"
# Two names of one matrix; a file may hold either or both.
_FOURIER = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")


def is_transformers(state: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are transformers' rather than the published ones."""
    return any(name.startswith("vision_encoder.") for name in state)


def to_published_names(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors under the published names; a name that is not known passes unchanged, to be reported as unused.

    Raises:
        CheckpointError: the two copies of the Fourier matrix differ.
    """
    published = {}
    for name, tensor in state.items():
        if name == _POINTS:
            for kind, row in enumerate(tensor):
                published[f"sam_prompt_encoder.point_embeddings.{kind}.weight"] = row[None]
        elif name in _FOURIER:
            published["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"] = tensor
        else:
            published[_rename(name)] = tensor
    copies = [state[name] for name in _FOURIER if name in state]
    if not all(np.array_equal(copy, copies[0]) for copy in copies):
        raise CheckpointError(f"{' and '.join(_FOURIER)} differ; expected two copies of one matrix")
    return published


def _rename(name: str) -> str:
    # Layers that are counted alike here are one sequence there: convolution, norm and activation in turn.
    if match := _DOWNSAMPLER.match(name):
        index = 3 * int(match[1]) + (match[2] == "layer_norm")
        return _DOWNSAMPLER.sub(f"memory_encoder.mask_downsampler.encoder.{index}.", name)
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def config_from_transformers(config: Mapping) -> SAM2Config:
    """The `SAM2Config` that a transformers ``config.json`` describes.

    Raises:
        CheckpointError: it is not a SAM 2 config, or lacks a field.
    """
    if config.get("model_type") not in ("sam2", "sam2_video"):
        raise CheckpointError(
            f"config.json is of a {config.get('model_type')!r} model; expected 'sam2' or 'sam2_video'"
        )
    try:
        backbone = config["vision_config"]["backbone_config"]
        fields = dict(
            name="sam2",
            image_size=config.get("image_size", config["prompt_encoder_config"]["image_size"]),
            embed_dim=backbone["hidden_size"],
            num_heads=backbone["num_attention_heads"],
            stages=backbone["blocks_per_stage"],
            global_attention_blocks=backbone["global_attention_blocks"],
            window_sizes=backbone["window_size_per_stage"],
            position_embedding_size=backbone["window_positional_embedding_background_size"],
            hidden_dim=config["mask_decoder_config"]["hidden_size"],
            has_memory=config["model_type"] == "sam2_video",
        )
    except KeyError as missing:
        raise CheckpointError(f"config.json lacks the field {missing}") from None
    for ours, theirs in (
        ("occlusion_embedding", "enable_occlusion_spatial_embedding"),
        ("pointer_temporal_codes", "enable_temporal_pos_encoding_for_object_pointers"),
    ):
        fields[ours] = config.get(theirs, True)
    ours = SAM2Config(**fields)
    for published in PUBLISHED.values():
        # Neither file format says how strongly training dropped paths, or what it calls the model.
        alike = dataclasses.replace(ours, name=published.name, drop_path_rate=published.drop_path_rate)
        if alike == dataclasses.replace(published, image_size=ours.image_size, has_memory=ours.has_memory):
            return alike
    return ours
