# SPDX-License-Identifier: Apache-2.0
"""The multi-head layer of the mask decoder: projections around the one attention function."""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.model.attention.dispatch import attention
from sam2_jax.model.layers import dense


class Attention(nn.Module):
    """Multi-head attention with separate projections, as the mask decoder has it.

    Attributes:
        dim: channels of the output.
        internal_dim: channels of all heads together; half of `dim` in the decoder's cross-attention.
        heads: number of heads.
    """

    dim: int
    internal_dim: int
    heads: int
    dtype: jnp.dtype
    implementation: str

    def setup(self):
        self.q_proj = dense(self.internal_dim, self.dtype)
        self.k_proj = dense(self.internal_dim, self.dtype)
        self.v_proj = dense(self.internal_dim, self.dtype)
        self.out_proj = dense(self.dim, self.dtype)

    def __call__(self, queries: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array | None = None):
        """(B, Nq, C), (B, Nk, C), (B, Nk, C), and valid keys (B, Nk) -> (B, Nq, `dim`)."""
        split = lambda x: einops.rearrange(x, "b n (h d) -> b n h d", h=self.heads)  # noqa: E731
        out = attention(
            split(self.q_proj(queries)),
            split(self.k_proj(keys)),
            split(self.v_proj(values)),
            valid,
            implementation=self.implementation,
        )
        return self.out_proj(einops.rearrange(out, "b n h d -> b n (h d)"))
