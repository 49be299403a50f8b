# SPDX-License-Identifier: Apache-2.0
"""Memory attention: a frame's tokens, conditioned on what the memory bank holds of an object (sections 4 and D.1).

In: frame tokens (B, N, C) and memories of O objects with their codes. Out: conditioned tokens (B O, N, C).
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.model.attention import attention
from sam2_jax.model.layers import LayerNorm, dense, loop
from sam2_jax.model.position import rotary_table, rotate


class RotaryAttention(nn.Module):
    """One head of attention between maps, whose queries and keys are turned by where they are."""

    config: SAM2Config

    def setup(self):
        dim, dtype = self.config.hidden_dim, jnp.dtype(self.config.dtype)
        self.q_proj = dense(dim, dtype)
        self.k_proj = dense(dim, dtype)
        self.v_proj = dense(dim, dtype)
        self.out_proj = dense(dim, dtype)

    def __call__(
        self,
        queries: jax.Array,
        keys: jax.Array,
        values: jax.Array,
        placed: jax.Array | None = None,
        lengths: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """Attends from a map to maps of the same size, and to tokens behind them that have no place.

        Args:
            queries: (B, N, C), a map of N = h w tokens.
            keys, values: (B, Nk, C or memory channels).
            placed: (B,) int32, how many keys of each row are tokens of whole maps, from its first on; None for all.
            lengths: (B,) int32, how many keys of each row count, from its first on; None for all.
            train: whether it is differentiated.
        """
        length = queries.shape[1]
        side = round(length**0.5)
        tables = rotary_table(side, side, self.config.hidden_dim)
        queries, keys = rotate(self.q_proj(queries), *tables), self.k_proj(keys)
        maps = keys[:, : keys.shape[1] // length * length]
        turned = rotate(maps.reshape(len(maps), -1, *queries.shape[1:]), *tables).reshape(maps.shape)
        if placed is not None:
            turned = jnp.where(jnp.arange(maps.shape[1])[:, None] < placed[:, None, None], turned, maps)
        keys = jnp.concatenate([turned, keys[:, maps.shape[1] :]], axis=1)
        out = attention(
            queries[:, :, None],
            keys[:, :, None],
            values[:, :, None],
            lengths=lengths,
            implementation=self.config.attention,
            train=train,
        )
        # The weights of a query sum to one, so its values may be projected after they are weighed: memories are narrow,
        # and this takes a quarter of the products.
        return self.out_proj(self.v_proj(out[:, :, 0]))


class MemoryAttentionLayer(nn.Module):
    """Self-attention in the frame, cross-attention to the memories, and an MLP; each normalised before."""

    config: SAM2Config

    def setup(self):
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        self.self_attn = RotaryAttention(config)
        self.cross_attn_image = RotaryAttention(config)
        self.linear1 = dense(config.memory_attention_mlp_dim, dtype)
        self.linear2 = dense(config.hidden_dim, dtype)
        self.norm1, self.norm2, self.norm3 = (LayerNorm(1e-5, dtype) for _ in range(3))
        self.dropout = nn.Dropout(config.memory_attention_dropout)

    def __call__(self, x, memories, memory_codes, placed, lengths, train):
        normed = self.norm1(x)
        x = x + self.dropout(self.self_attn(normed, normed, normed, train=train), not train)
        x = jnp.repeat(x, memories.shape[0] // x.shape[0], axis=0)
        attended = self.cross_attn_image(self.norm2(x), memories + memory_codes, memories, placed, lengths, train)
        x = x + self.dropout(attended, not train)
        hidden = self.dropout(nn.relu(self.linear1(self.norm3(x))), not train)
        return x + self.dropout(self.linear2(hidden), not train)


class MemoryAttention(nn.Module):
    """The stack of layers."""

    config: SAM2Config

    def setup(self):
        self.layers = [MemoryAttentionLayer(self.config) for _ in range(self.config.memory_attention_layers)]
        self.norm = LayerNorm(1e-5, jnp.dtype(self.config.dtype))

    def __call__(
        self,
        frame: jax.Array,
        frame_code: jax.Array,
        memories: jax.Array,
        memory_codes: jax.Array,
        placed: jax.Array | None = None,
        lengths: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """Conditions frames on the memories of the objects on them.

        Args:
            frame: (B, N, C) tokens of the frames. What all O objects of a frame share is computed once.
            frame_code: (N, C) their absolute position code.
            memories, memory_codes: (B O, Nk, memory channels): whole maps, then tokens of object pointers, then
                whatever fills the rows.
            placed: (B O,) int32, how many tokens of each row are those of maps; None for all.
            lengths: (B O,) int32, how many tokens of each row count, those of pointers included; None for all.

        Returns:
            (B O, N, C).
        """
        x = frame + 0.1 * frame_code.astype(frame.dtype)
        if not train:
            for layer in self.layers:
                x = layer(x, memories, memory_codes, placed, lengths, False)
            return self.norm(x)

        def run(layer: Callable[..., jax.Array], x: jax.Array, key: jax.Array | None) -> jax.Array:
            rngs = None if key is None else {"dropout": key}
            return layer(x, memories, memory_codes, placed, lengths, True, rngs=rngs)

        x = jnp.repeat(x, memories.shape[0] // x.shape[0], axis=0)  # each object drops its own
        drops = self.config.memory_attention_dropout > 0
        keys = jax.random.split(self.make_rng("dropout"), len(self.layers)) if drops else None
        return self.norm(loop(self.layers, run, x, keys))
