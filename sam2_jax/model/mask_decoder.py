# SPDX-License-Identifier: Apache-2.0
"""The mask decoder of Figure 8: a two-way transformer between prompts and frame, then masks, scores and tokens.

In: frame features and encoded prompts. Out: `DecodedMasks`, four masks, and which of them is shown.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.model.attention import Attention
from sam2_jax.model.layers import MLP, ConvTranspose2x2, Embedding, LayerNorm, conv, gelu
from sam2_jax.types import DecodedMasks, FrameFeatures, Label, Prompts

MASKS = 4  # one for clear prompts and three for ambiguous ones


class TwoWayBlock(nn.Module):
    """Tokens attend to tokens, then to the frame; then the frame attends to the tokens."""

    config: SAM2Config
    first: bool

    def setup(self):
        dim, heads, dtype = self.config.hidden_dim, self.config.decoder_heads, jnp.dtype(self.config.dtype)

        def attention(internal_dim):
            return Attention(dim, internal_dim, heads, dtype, self.config.attention)

        self.self_attn = attention(dim)
        self.cross_attn_token_to_image = attention(dim // 2)
        self.cross_attn_image_to_token = attention(dim // 2)
        self.mlp = MLP((self.config.decoder_mlp_dim, dim), dtype)
        self.norm1, self.norm2, self.norm3, self.norm4 = (LayerNorm(1e-5, dtype) for _ in range(4))

    def __call__(self, tokens, image, token_code, image_code, valid):
        if self.first:
            # The tokens are their own code still: it is not added twice, and there is nothing to keep beside it.
            tokens = self.self_attn(tokens, tokens, tokens, valid)
        else:
            coded = tokens + token_code
            tokens = tokens + self.self_attn(coded, coded, tokens, valid)
        tokens = self.norm1(tokens)
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_code, image + image_code, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(image + image_code, tokens + token_code, tokens, valid)
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """Frame tokens (B, N, C) and prompt tokens (B, P, C), each updated by the other."""

    config: SAM2Config

    def setup(self):
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        self.layers = [TwoWayBlock(config, first=index == 0) for index in range(config.decoder_layers)]
        self.final_attn_token_to_image = Attention(
            config.hidden_dim, config.hidden_dim // 2, config.decoder_heads, dtype, config.attention
        )
        self.norm_final_attn = LayerNorm(1e-5, dtype)

    def __call__(self, image: jax.Array, image_code: jax.Array, tokens: jax.Array, valid: jax.Array):
        token_code = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_code, image_code, valid)
        update = self.final_attn_token_to_image(tokens + token_code, image + image_code, image)
        return self.norm_final_attn(tokens + update), image


class MaskDecoder(nn.Module):
    """Prompts and a (memory-conditioned) frame to masks."""

    config: SAM2Config

    def setup(self):
        dim, dtype = self.config.hidden_dim, jnp.dtype(self.config.dtype)
        self.transformer = TwoWayTransformer(self.config)
        self.obj_score_token = Embedding(1, dim)
        self.iou_token = Embedding(1, dim)
        self.mask_tokens = Embedding(MASKS, dim)
        self.output_upscaling = [
            ConvTranspose2x2(dim // 4, dtype),
            LayerNorm(1e-6, dtype),
            gelu,
            ConvTranspose2x2(dim // 8, dtype),
        ]
        # Applied once for each frame, by the image encoder, and not for each click.
        self.conv_s0 = conv(dim // 8, 1, dtype)
        self.conv_s1 = conv(dim // 4, 1, dtype)
        self.output_hypernetworks_mlps = [MLP((dim, dim, dim // 8), dtype) for _ in range(MASKS)]
        self.iou_prediction_head = MLP((dim, dim, MASKS), dtype)
        self.pred_obj_score_head = MLP((dim, dim, 1), dtype)

    def __call__(
        self,
        features: FrameFeatures,
        sparse: jax.Array,
        valid: jax.Array,
        dense: jax.Array,
        image_code: jax.Array,
    ) -> DecodedMasks:
        """Decodes O prompts on each of B frames.

        Args:
            features: the frames; the embedding is (B, h, w, C), or (B, O, h, w, C) where memory conditioned it.
            sparse: (B, O, P, C) tokens of the prompts.
            valid: (B, O, P) bool, false where they are padding.
            dense: (B, O, h, w, C) map of the mask prompts, or one that broadcasts to it.
            image_code: (h, w, C) position code of the frame's tokens.
        """
        batch, objects = sparse.shape[:2]
        embedding = features.embedding if features.embedding.ndim == 5 else features.embedding[:, None]
        image = jnp.broadcast_to(embedding + dense, (batch, objects, *embedding.shape[2:]))
        height = image.shape[2]
        own = jnp.concatenate([self.obj_score_token(), self.iou_token(), self.mask_tokens()]).astype(sparse.dtype)
        tokens = jnp.concatenate([jnp.broadcast_to(own, (batch, objects, *own.shape)), sparse], axis=2)
        valid = jnp.pad(valid, ((0, 0), (0, 0), (len(own), 0)), constant_values=True)

        tokens, image = self.transformer(
            einops.rearrange(image, "b o h w c -> (b o) (h w) c"),
            einops.rearrange(image_code, "h w c -> (h w) c").astype(image.dtype),
            einops.rearrange(tokens, "b o p c -> (b o) p c"),
            einops.rearrange(valid, "b o p -> (b o) p"),
        )
        tokens = einops.rearrange(tokens, "(b o) p c -> b o p c", b=batch)
        image = einops.rearrange(image, "(b o) (h w) c -> b o h w c", b=batch, h=height)

        object_score, iou_token, mask_tokens = tokens[:, :, 0], tokens[:, :, 1], tokens[:, :, 2 : 2 + MASKS]
        weights = jnp.stack([mlp(mask_tokens[:, :, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], axis=2)
        logits = jnp.einsum(
            "bomc,bohwc->bomhw", weights, self._upscale(image, features), preferred_element_type=jnp.float32
        )
        return DecodedMasks(
            logits=logits,
            ious=nn.sigmoid(self.iou_prediction_head(iou_token).astype(jnp.float32)),
            tokens=mask_tokens,
            object_score=self.pred_obj_score_head(object_score)[..., 0].astype(jnp.float32),
        )

    def _upscale(self, image: jax.Array, features: FrameFeatures) -> jax.Array:
        """(B, O, h, w, C) -> (B, O, 4 h, 4 w, C/8), with the encoder's finer maps added on the way."""
        to_stride_8, norm, activate, to_stride_4 = self.output_upscaling
        image = activate(norm(to_stride_8(image) + features.stride_8[:, None]))
        return activate(to_stride_4(image) + features.stride_4[:, None])


def stability(logits: jax.Array, offset: float = 0.05) -> jax.Array:
    """How little a mask changes when its threshold moves from -offset to +offset: (..., H, W) -> (...), 0 to 1."""
    inside = jnp.sum(logits > offset, axis=(-2, -1)).astype(jnp.float32)
    around = jnp.sum(logits > -offset, axis=(-2, -1)).astype(jnp.float32)
    return jnp.where(around > 0, inside / jnp.maximum(around, 1), 1.0)


def best_ambiguous(ious: jax.Array) -> jax.Array:
    """Index, 1 to 3, of the mask of highest predicted IoU among those for ambiguous prompts: (..., 4) -> (...)."""
    return 1 + jnp.argmax(ious[..., 1:], axis=-1)


def ambiguous_mask(config: SAM2Config, decoded: DecodedMasks, prompts: Prompts) -> jax.Array:
    """Index (B, O) of the mask to show for an ambiguous prompt: the best, of those that heed it if the config says so.

    Training takes the one of highest predicted IoU.
    """
    ious = decoded.ious
    if config.heed_clicks:
        ious = jnp.where(heeds(decoded.logits, prompts), ious, ious - 1)
    return best_ambiguous(ious)


def heeds(logits: jax.Array, prompts: Prompts) -> jax.Array:
    """Which masks (B, O, M) have all clicks on their right side: inside `FOREGROUND` ones, outside `BACKGROUND` ones.

    Args:
        logits: (B, O, M, S/4, S/4).
    """
    side = logits.shape[-1]
    at = jnp.clip((prompts.points + 0.5) / 4 - 0.5, 0, side - 1)
    # The weights of the pixels around each point, as those of the bilinear map that the user sees.
    weights = jnp.maximum(1 - jnp.abs(at[..., None] - jnp.arange(side)), 0)
    columns, rows = weights[..., 0, :], weights[..., 1, :]
    found = jnp.einsum("bopy,bomyx,bopx->bomp", rows, logits, columns, precision=jax.lax.Precision.HIGHEST)
    labels = prompts.labels[:, :, None]
    wrong = jnp.where(found > 0, labels == Label.BACKGROUND, labels == Label.FOREGROUND)
    return ~wrong.any(-1)


def clear_mask(decoded: DecodedMasks, least_stability: float = 0.98) -> jax.Array:
    """Index (B, O) of the mask to show for a clear prompt: 0, or the best ambiguous one where mask 0 is unstable.

    This is the published "dynamic multimask by stability"; training takes mask 0 as it is.
    """
    unstable = stability(decoded.logits[..., 0, :, :]) < least_stability
    return jnp.where(unstable, best_ambiguous(decoded.ious), 0)


def take_mask(x: jax.Array, index: jax.Array) -> jax.Array:
    """One of the masks, or of what goes with them: (B, O, M, ...) and (B, O) -> (B, O, ...)."""
    index = index.reshape(*index.shape, *(1,) * (x.ndim - 2))
    return jnp.take_along_axis(x, index, axis=2).squeeze(2)
