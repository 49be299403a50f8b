# SPDX-License-Identifier: Apache-2.0
"""Hiera, the hierarchical image encoder (Ryali et al., 2023), as SAM 2 uses it (section D.1).

In: normalised pictures (B, S, S, 3). Out: the maps of its four stages, at strides 4, 8, 16 and 32.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax.config import SAM2Config
from sam2_jax.model.attention import attention, largest_divisor, use_cpu_tiling
from sam2_jax.model.layers import MLP, LayerNorm, conv, dense, gelu, loop

# Tokens of a strip of windows. Their hidden activations take a few megabytes: about a core's share of the cache.
_TOKENS_AT_ONCE = 2048


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """(..., H, W, C) -> (..., H/2, W/2, C)."""
    return einops.reduce(x, "... (h a) (w b) c -> ... h w c", "max", a=2, b=2)


class MultiScaleAttention(nn.Module):
    """Attention in the whole map or in windows of it; where a stage begins, queries are pooled 2 x 2.

    Attributes:
        window: side of the windows, tokens before pooling; 0 for the whole map.
    """

    dim: int
    heads: int
    window: int
    pool_queries: bool
    dtype: jnp.dtype
    implementation: str

    def setup(self):
        self.qkv = dense(3 * self.dim, self.dtype)
        self.proj = dense(self.dim, self.dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, `dim`), or half the height and width where queries are pooled."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x)
        window_height, window_width = (self.window, self.window) if self.window else (height, width)
        rows, columns = -(-height // window_height), -(-width // window_width)
        if (rows * window_height, columns * window_width) != (height, width):
            # The published network pads its input with zeros and attends to the padding like to any other token; a
            # zero's projection is the bias, so only the projections are padded.
            bias = self.qkv.variables["params"]["bias"].astype(qkv.dtype)
            inside = np.zeros((rows * window_height, columns * window_width, 1), bool)
            inside[:height, :width] = True
            qkv = jnp.pad(qkv, ((0, 0), (0, inside.shape[0] - height), (0, inside.shape[1] - width), (0, 0)))
            qkv = jnp.where(inside, qkv, bias)
        windows = einops.rearrange(qkv, "b (r y) (c x) d -> (b r c) y x d", r=rows, c=columns)
        queries, keys, values = jnp.split(windows, 3, axis=-1)
        if self.pool_queries:
            queries = max_pool_2x2(queries)
        side = queries.shape[1]
        tokens = [einops.rearrange(t, "b y x (h d) -> b (y x) h d", h=self.heads) for t in (queries, keys, values)]
        out = attention(*tokens, implementation=self.implementation)
        out = einops.rearrange(out, "(b r c) (y x) h d -> b (r y) (c x) (h d)", b=batch, r=rows, y=side)
        shrink = 2 if self.pool_queries else 1
        return self.proj(out[:, : height // shrink, : width // shrink])


class Block(nn.Module):
    """A transformer block of Hiera.

    Attributes:
        window: side of the windows that the attention stays in, tokens before pooling; 0 for the whole map.
    """

    dim_in: int
    dim: int
    heads: int
    window: int
    pool: bool
    dtype: jnp.dtype
    implementation: str

    def setup(self):
        self.norm1 = LayerNorm(1e-6, self.dtype)
        self.attn = MultiScaleAttention(self.dim, self.heads, self.window, self.pool, self.dtype, self.implementation)
        self.norm2 = LayerNorm(1e-6, self.dtype)
        self.mlp = MLP((4 * self.dim, self.dim), self.dtype, gelu)
        if self.dim != self.dim_in:
            self.proj = dense(self.dim, self.dtype)

    def __call__(self, x: jax.Array, train: bool, shares: jax.Array | None = None) -> jax.Array:
        """(B, H, W, C) -> the block's map.

        Args:
            shares: (2, B) of attention and MLP, what each picture takes of them, of `_drop_paths`; None for all.
        """
        rows = self._rows_at_once(*x.shape[1:3])
        if train or rows == x.shape[1] or not use_cpu_tiling(self.implementation):
            return self._whole(x, shares)
        # Windows know nothing of each other, so the block may run strip by strip, and a strip stays in the cache.
        strips = einops.rearrange(x, "b (r y) w c -> (b r) 1 y w c", y=rows)
        run = nn.scan(lambda block, _, strip: (None, block._whole(strip, None)), variable_broadcast="params")
        _, strips = run(self, None, strips)
        return einops.rearrange(strips, "(b r) 1 y w c -> b (r y) w c", b=x.shape[0])

    def _rows_at_once(self, height: int, width: int) -> int:
        """Rows of a strip that is whole windows high and has about `_TOKENS_AT_ONCE` tokens; all rows where none is."""
        if self.window == 0 or height % self.window:
            return height
        return self.window * largest_divisor(height // self.window, _TOKENS_AT_ONCE // (self.window * width))

    def _whole(self, x: jax.Array, shares: jax.Array | None) -> jax.Array:
        of_attention, of_mlp = (1, 1) if shares is None else shares.astype(x.dtype)[..., None, None, None]
        normed = self.norm1(x)
        # Where the width changes the shortcut is a projection of the *normalised* input.
        shortcut = max_pool_2x2(self.proj(normed)) if self.dim != self.dim_in else x
        x = shortcut + of_attention * self.attn(normed)
        return x + of_mlp * self.mlp(self.norm2(x))


class PatchEmbedding(nn.Module):
    """Overlapping 7 x 7 patches at stride 4."""

    dim: int
    dtype: jnp.dtype

    def setup(self):
        self.proj = conv(self.dim, 7, self.dtype, stride=4, padding=3)

    def __call__(self, pictures: jax.Array) -> jax.Array:
        return self.proj(pictures)


class Hiera(nn.Module):
    """The encoder's trunk."""

    config: SAM2Config

    def setup(self):
        config = self.config
        dtype = jnp.dtype(config.dtype)
        initial = nn.initializers.truncated_normal(0.02)
        window = config.window_sizes[0]
        self.patch_embed = PatchEmbedding(config.embed_dim, dtype)
        self.pos_embed = self.param("pos_embed", initial, (1, *config.position_embedding_size, config.embed_dim))
        self.pos_embed_window = self.param("pos_embed_window", initial, (1, window, window, config.embed_dim))
        common = dict(dtype=dtype, implementation=config.attention)
        self.blocks = [Block(**fields, **common) for fields in _blocks(config)]

    def __call__(self, pictures: jax.Array, train: bool = False, rematerialise: bool = False) -> list[jax.Array]:
        """Pictures (B, S, S, 3) -> maps of C, 2 C, 4 C and 8 C channels, with sides S/4, S/8, S/16 and S/32."""

        x = self.patch_embed(pictures)
        x = x + self._position_embedding(*x.shape[1:3]).astype(x.dtype)
        shares = None
        if train and self.config.drop_path_rate:
            shares = _drop_paths(self.make_rng("dropout"), self.config.drop_path_rate, len(self.blocks), x.shape[0])
        last_of_stage = np.cumsum(self.config.stages) - 1
        maps = []
        for alike in _alike(_blocks(self.config)):
            blocks = self.blocks[alike[0] : alike[-1] + 1]
            if train:
                own = None if shares is None else shares[alike]
                x = loop(blocks, lambda block, x, share: block(x, True, share), x, own, rematerialise)
            else:
                for block in blocks:
                    x = block(x, False)
            if alike[-1] in last_of_stage:
                maps.append(x)
        return maps

    def _position_embedding(self, height: int, width: int) -> jax.Array:
        """The embedding of the whole map, interpolated, plus that of a window, tiled (Bolya et al., 2023)."""
        window = self.config.window_sizes[0]
        shape = (1, height, width, self.config.embed_dim)
        # PyTorch's bicubic kernel; JAX's own "cubic" has another constant, and is 8% off here.
        whole = jax.image.resize(self.pos_embed, shape, jax.image.ResizeMethod.CUBIC_PYTORCH, antialias=False)
        tiles = jnp.tile(self.pos_embed_window, (1, -(-height // window), -(-width // window), 1))
        return whole + tiles[:, :height, :width]


def _drop_paths(key: jax.Array, rate: float, depth: int, pictures: int) -> jax.Array:
    """How training skips branches of blocks, each for each picture by itself, and makes up for it in the others.

    Returns:
        (`depth`, 2, `pictures`) float32: 0 for branches that are skipped, the oftener the deeper, else a bit over 1.
    """
    keep = 1 - rate * jnp.arange(depth)[:, None, None] / max(depth - 1, 1)
    return jax.random.bernoulli(key, keep, (depth, 2, pictures)) / keep


def _alike(blocks: list[dict]) -> list[np.ndarray]:
    """The places of neighbours that have the same fields."""
    changes = [place for place in range(1, len(blocks)) if blocks[place] != blocks[place - 1]]
    return np.split(np.arange(len(blocks)), changes)


def _blocks(config: SAM2Config) -> list[dict]:
    """The fields of each block."""
    depth = sum(config.stages)
    stage_of = np.repeat(np.arange(4), config.stages)
    blocks = []
    for index in range(depth):
        # The first block of a stage still sees the map of the stage before, and so has its window.
        before, stage = int(stage_of[max(index - 1, 0)]), int(stage_of[index])
        blocks.append(
            dict(
                dim_in=config.stage_dims[before],
                dim=config.stage_dims[stage],
                heads=config.num_heads * 2**stage,
                window=0 if index in config.global_attention_blocks else config.window_sizes[before],
                pool=stage != before,
            )
        )
    return blocks
