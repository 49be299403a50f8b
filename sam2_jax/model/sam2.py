# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as a whole (Figure 3): the boxes, the learned vectors between them, and the few ways they are called.

In: normalised pictures, prompts, memories. Out: `FrameFeatures`, `DecodedMasks`, memories. It holds no state: the loop
over frames and the memory bank stand outside.
"""

import dataclasses
import functools

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.memory_bank import Recollection
from sam2_jax.model.layers import MLP, conv, dense
from sam2_jax.model.mask_decoder import MaskDecoder, ambiguous_mask, clear_mask, take_mask
from sam2_jax.model.memory_attention import MemoryAttention
from sam2_jax.model.memory_encoder import MemoryEncoder
from sam2_jax.model.neck import ImageEncoder
from sam2_jax.model.position import sine_code_1d, sine_code_2d
from sam2_jax.model.prompt_encoder import PromptEncoder, no_points
from sam2_jax.target import current_target
from sam2_jax.types import ABSENT, DecodedMasks, FrameFeatures, MaskPrediction, Prompts

_PLATFORMS_OF_KERNELS = {"flash": "tpu", "cudnn": "gpu"}


class SAM2(nn.Module):
    """The network. Attributes bear the published parameter names, so that weights convert by a short table.

    Raises `ValueError` where `config.attention` names a kernel that the devices at hand do not have.
    """

    config: SAM2Config

    def __post_init__(self):
        needed, platform = _PLATFORMS_OF_KERNELS.get(self.config.attention), current_target().platform
        if needed is not None and platform != needed:
            raise ValueError(
                f"SAM2Config.attention is {self.config.attention!r}, a kernel for {needed.upper()}s, but this is a "
                f'{platform.upper()}; expected "auto", "xla" or "blocked".'
            )
        super().__post_init__()

    def setup(self):
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        dim, memory_dim = config.hidden_dim, config.memory_dim
        small = nn.initializers.truncated_normal(0.02)
        self.image_encoder = ImageEncoder(config)
        self.sam_prompt_encoder = PromptEncoder(config)
        self.sam_mask_decoder = MaskDecoder(config)
        # Added to the features of a frame that has no memories.
        self.no_mem_embed = self.param("no_mem_embed", small, (1, 1, dim))
        if not config.has_memory:
            return
        self.memory_attention = MemoryAttention(config)
        self.memory_encoder = MemoryEncoder(config)
        # A mask prompt, shrunk for the decoder when only a pointer is wanted from it.
        self.mask_downsample = conv(1, 4, dtype, stride=4)
        self.maskmem_tpos_enc = self.param("maskmem_tpos_enc", small, (config.recent_frames + 1, 1, 1, memory_dim))
        # Published, loaded and saved, but read by nothing: a frame without memories skips memory attention.
        self.no_mem_pos_enc = self.param("no_mem_pos_enc", small, (1, 1, dim))
        self.no_obj_ptr = self.param("no_obj_ptr", small, (1, dim))
        self.obj_ptr_proj = MLP((dim, dim, dim), dtype)
        if config.occlusion_embedding:
            self.no_obj_embed_spatial = self.param("no_obj_embed_spatial", small, (1, memory_dim))
        if config.pointer_temporal_codes:
            self.obj_ptr_tpos_proj = dense(memory_dim, dtype)

    def encode_frames(self, pictures: jax.Array, train: bool = False, rematerialise: bool = False) -> FrameFeatures:
        """Normalised pictures (B, S, S, 3) -> their features, not yet conditioned on any memory.

        Args:
            train: drop paths, at random.
            rematerialise: keep the input of each block for the backward pass, and make what is inside it anew.
        """
        skips = self.sam_mask_decoder.conv_s0, self.sam_mask_decoder.conv_s1
        pictures = pictures.astype(self.config.dtype)
        stride_4, stride_8, stride_16 = self.image_encoder(pictures, skips, train, rematerialise)
        return FrameFeatures(embedding=stride_16, stride_8=stride_8, stride_4=stride_4)

    def without_memory(self, features: FrameFeatures) -> FrameFeatures:
        """Marks frames that have no memories: a picture, or the first prompted frame of a video."""
        return features.replace(embedding=features.embedding + self.no_mem_embed.astype(features.embedding.dtype))

    def decode(self, features: FrameFeatures, prompts: Prompts) -> DecodedMasks:
        """Conditioned features of B frames and O prompts on each -> four masks for each prompt."""
        sparse, valid, dense = self.sam_prompt_encoder(prompts)
        return self.sam_mask_decoder(features, sparse, valid, dense, self.sam_prompt_encoder.map_code())

    def with_memory(self, features: FrameFeatures, memory: Recollection, train: bool = False) -> FrameFeatures:
        """Conditions frames on what each object's memory holds: the embedding becomes (B, O, h, w, C)."""
        batch, height, width, dim = features.embedding.shape
        objects, dtype = memory.maps.shape[1], features.embedding.dtype
        parts = dim // self.config.memory_dim

        tokens = einops.rearrange(memory.maps.astype(dtype), "b o k h w c -> (b o) (k h w) c")
        place = sine_code_2d(height, width, self.config.memory_dim)
        moment = self.maskmem_tpos_enc[memory.map_ages]  # (B, O, maps, 1, 1, memory channels)
        codes = (place + moment).astype(dtype).reshape(tokens.shape)

        # A pointer is as wide as the frame's tokens, so it is read as several tokens of the memory's width.
        pointers = einops.rearrange(memory.pointers.astype(dtype), "b o p (parts c) -> (b o) (p parts) c", parts=parts)
        pointer_codes = jnp.zeros_like(pointers)
        if self.config.pointer_temporal_codes:
            code = self.obj_ptr_tpos_proj(sine_code_1d(memory.pointer_ages, dim)).astype(dtype)
            pointer_codes = einops.repeat(code, "b o p c -> (b o) (p parts) c", parts=parts)

        placed = memory.map_count.reshape(-1) * height * width
        conditioned = self.memory_attention(
            features.embedding.reshape(batch, height * width, dim),
            sine_code_2d(height, width, dim).reshape(height * width, dim),
            _put_behind(tokens, placed, pointers),
            _put_behind(codes, placed, pointer_codes),
            placed,
            placed + memory.pointer_count.reshape(-1) * parts,
            train,
        )
        return features.replace(embedding=conditioned.reshape(batch, objects, height, width, dim))

    def predict(self, features: FrameFeatures, prompts: Prompts) -> MaskPrediction:
        """One mask for each prompt on conditioned frames; no point, or one, is ambiguous and gets the best of three."""
        decoded = self.decode(features, prompts)
        ambiguous = jnp.sum(prompts.labels >= 0, axis=-1) <= 1
        index = jnp.where(ambiguous, ambiguous_mask(self.config, decoded, prompts), clear_mask(decoded))
        present = decoded.object_score > 0
        return MaskPrediction(
            logits=jnp.where(present[..., None, None], take_mask(decoded.logits, index), ABSENT),
            iou=take_mask(decoded.ious, index),
            object_score=decoded.object_score,
            # The token of mask 0 makes the pointer of a clear prompt, even where another mask is shown.
            pointer=self.object_pointer(take_mask(decoded.tokens, jnp.where(ambiguous, index, 0)), present),
        )

    def take_as_mask(self, features: FrameFeatures, masks: jax.Array) -> MaskPrediction:
        """A user's masks (B, O, S, S), 0 to 1, as the answer itself; the decoder only makes their object pointers."""
        logits = 20 * masks.astype(jnp.float32) - 10
        size = self.config.mask_size
        low = jax.image.resize(logits, (*masks.shape[:2], size, size), "linear", antialias=True)
        prompts = no_points(*masks.shape[:2]).replace(masks=self.shrink_masks(masks))
        decoded = self.decode(features, prompts)
        present = jnp.any(masks > 0, axis=(-2, -1))
        pointer = self.object_pointer(decoded.tokens[:, :, 0], decoded.object_score > 0)
        return MaskPrediction(
            logits=low,
            iou=jnp.ones(masks.shape[:2]),
            object_score=jnp.where(present, 10.0, -10.0),
            pointer=jnp.where(present[..., None], pointer, self.no_obj_ptr),
        )

    def remember(self, features: FrameFeatures, prediction: MaskPrediction, prompted: jax.Array) -> jax.Array:
        """Spatial memories (B, O, h, w, memory channels) of frames and their masks.

        Args:
            prompted: (B, O) bool, the objects whose mask a user has seen: it is remembered as a hard one.
        """
        logits = enlarge(prediction.logits, self.config.image_size)
        values = jnp.where(prompted[..., None, None], (logits > 0).astype(jnp.float32), nn.sigmoid(logits))
        return self.encode_memory(features, values, prediction.object_score > 0)

    def encode_memory(self, features: FrameFeatures, masks: jax.Array, present: jax.Array) -> jax.Array:
        """Spatial memories (B, O, h, w, memory channels) of frames and masks (B, O, S, S), 0 to 1, of the objects.

        Args:
            present: (B, O) bool, the objects that are in the frame.
        """
        memory = self.memory_encoder(features.embedding, 20 * masks - 10)
        if self.config.occlusion_embedding:
            absent = ~present[..., None, None, None]
            memory = memory + jnp.where(absent, self.no_obj_embed_spatial[0], 0).astype(memory.dtype)
        return memory

    def shrink_masks(self, masks: jax.Array) -> jax.Array:
        """Masks (B, O, S, S), 0 to 1, as the mask prompts (B, O, S/4, S/4) from which pointers are made."""
        given = einops.rearrange(masks, "b o h w -> (b o) h w 1").astype(self.config.dtype)
        return einops.rearrange(self.mask_downsample(given), "(b o) h w 1 -> b o h w", o=masks.shape[1])

    def object_pointer(self, token: jax.Array, present: jax.Array) -> jax.Array:
        """Output tokens (B, O, C) of the masks -> object pointers (B, O, C); `present` (B, O) bool."""
        pointer = self.obj_ptr_proj(token).astype(jnp.float32)
        return jnp.where(present[..., None], pointer, self.no_obj_ptr)

    def __call__(self, pictures: jax.Array, prompts: Prompts) -> DecodedMasks:
        """The masks of pictures (B, S, S, 3); runs every part once, so that `init` makes every parameter."""
        features = self.encode_frames(pictures)
        decoded = self.decode(self.without_memory(features), prompts)
        if not self.config.has_memory:
            return decoded
        batch, height, width, dim = features.embedding.shape
        memory = self.memory_encoder(features.embedding, jnp.zeros((batch, 1, 16 * height, 16 * width)))
        tokens = memory.reshape(batch, height * width, -1)
        frame = features.embedding.reshape(batch, height * width, dim)
        self.memory_attention(frame, jnp.zeros(frame.shape[1:]), tokens, jnp.zeros_like(tokens))
        self.mask_downsample(jnp.zeros((batch, 16 * height, 16 * width, 1)))
        self.obj_ptr_proj(decoded.tokens)
        if self.config.pointer_temporal_codes:
            self.obj_ptr_tpos_proj(jnp.zeros((batch, dim)))
        return decoded


def _put_behind(tokens: jax.Array, lengths: jax.Array, more: jax.Array) -> jax.Array:
    """Tokens (B, N, C) with P others, (B, P, C), behind the first `lengths` (B,) of each row: (B, N + P, C)."""
    room = jnp.pad(tokens, ((0, 0), (0, more.shape[1]), (0, 0)))
    return jax.vmap(lambda row, length, more: jax.lax.dynamic_update_slice(row, more, (length, 0)))(room, lengths, more)


def enlarge(logits: jax.Array, size: int) -> jax.Array:
    """Mask logits (..., S/4, S/4) at the size of the model input: (..., S, S), bilinear."""
    return jax.image.resize(logits, (*logits.shape[:-2], size, size), "linear", antialias=False)


def init_params(model: SAM2, key: jax.Array) -> dict:
    """New parameters, drawn from `key`: a plain nested dict, float32."""
    # One program, which holds the draws alone. One by one they are 580, and slow to begin even when kept on disk.
    return jax.jit(lambda key: _small(model).lazy_init(key, *_example())["params"])(key)


@functools.cache
def abstract_params(model: SAM2) -> dict:
    """The parameters' shapes and types, without their values."""
    return jax.eval_shape(_small(model).init, jax.random.key(0), *_example())["params"]


def _small(model: SAM2) -> SAM2:
    # No parameter's shape depends on the input's size, and a small one is traced quickly.
    return SAM2(dataclasses.replace(model.config, image_size=32, attention="xla"))


def _example() -> tuple[jax.ShapeDtypeStruct, Prompts]:
    shape = jax.ShapeDtypeStruct
    prompts = Prompts(
        points=shape((1, 1, 1, 2), jnp.float32),
        labels=shape((1, 1, 1), jnp.int32),
        masks=shape((1, 1, 8, 8), jnp.float32),
    )
    return shape((1, 32, 32, 3), jnp.float32), prompts
