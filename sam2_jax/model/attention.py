# SPDX-License-Identifier: Apache-2.0
"""The one attention function, and the multi-head layer of the mask decoder made from it.

In: queries, keys and values (B, N, heads, D), and which keys are valid. Out: (B, N, heads, Dv). Softmax is float32.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

# Scores that `blocked` holds at once. 2**20 float32 are 4 MB: about a core's cache.
_SCORES_AT_ONCE = 2**20


def attention(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    valid: jax.Array | None = None,
    implementation: str = "auto",
) -> jax.Array:
    """Softmax attention with scores scaled by 1/sqrt(D).

    Args:
        queries: (B, Nq, heads, D).
        keys: (B, Nk, heads, D).
        values: (B, Nk, heads, Dv).
        valid: (B, Nk) bool, the keys that count, or None for all. An invalid key has a weight of exactly zero.
            At least one key of each row must be valid.
        implementation: ``xla`` holds the whole score matrix and is the reference; ``blocked`` walks over heads and
            blocks of queries, several times faster on a CPU and thrifty everywhere; ``cudnn`` is the fused kernel of
            NVIDIA GPUs (16-bit types only); ``auto`` is the best of these for the device and the type.

    Returns:
        (B, Nq, heads, Dv) in the type of `values`.
    """
    if implementation == "auto":
        implementation = _best_implementation(queries.dtype, queries.shape[-1])
    if implementation == "blocked":
        return _blocked(queries, keys, values, valid)
    mask = None if valid is None else valid[:, None, None, :]
    if implementation == "xla":
        return _dense(queries, keys, values, mask)
    return jax.nn.dot_product_attention(queries, keys, values, mask=mask, implementation=implementation)


def walks_in_blocks(implementation: str) -> bool:
    """Whether work is done piece by piece on this device, so that a piece stays in the cache."""
    return implementation == "blocked" or (implementation == "auto" and jax.default_backend() == "cpu")


def _best_implementation(dtype: jnp.dtype, head_dim: int) -> str:
    if walks_in_blocks("auto"):
        return "blocked"
    # The fused kernel takes heads of at most 128 channels on Ampere and 256 on Hopper, in multiples of 8.
    if jax.default_backend() == "gpu" and dtype != jnp.float32 and head_dim % 8 == 0:
        capability = float(jax.devices()[0].compute_capability)
        return "cudnn" if head_dim <= (256 if capability >= 9 else 128) else "blocked"
    return "xla"


def _dense(queries, keys, values, mask):
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys, preferred_element_type=jnp.float32)
    scores *= queries.shape[-1] ** -0.5
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    weights = jax.nn.softmax(scores).astype(values.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, values)


def _blocked(queries, keys, values, valid):
    batch, length, heads, _ = queries.shape
    memories = keys.shape[1]
    rows = batch * heads
    # Small problems (windows) are taken several at a time, large ones (global attention) a block of queries at a time.
    rows_at_once = largest_divisor(rows, _SCORES_AT_ONCE // (length * memories))
    queries_at_once = largest_divisor(length, _SCORES_AT_ONCE // memories) if rows_at_once == 1 else length

    def heads_first(x):
        return einops.rearrange(x, "b n h d -> (b h) n d").reshape(-1, rows_at_once, x.shape[1], x.shape[3])

    queries = heads_first(queries * jnp.asarray(queries.shape[-1] ** -0.5, queries.dtype))
    bias = None
    if valid is not None:
        bias = jnp.where(jnp.repeat(valid, heads, axis=0), 0.0, -jnp.inf).reshape(-1, rows_at_once, 1, memories)

    @jax.checkpoint  # the scores are made anew in the backward pass; keeping them would undo the blocks
    def one_block(block, keys, values, bias):
        scores = jnp.einsum("rqd,rkd->rqk", block, keys, preferred_element_type=jnp.float32)
        if bias is not None:
            scores += bias
        weights = jnp.exp(scores - scores.max(-1, keepdims=True))
        total = weights.sum(-1, keepdims=True)
        # Divided after the product: it is narrower than the weights.
        out = jnp.einsum("rqk,rkd->rqd", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
        return (out / total).astype(values.dtype)

    def one_row(row):
        queries, keys, values, bias = row
        if queries_at_once == length:
            return one_block(queries, keys, values, bias)
        blocks = einops.rearrange(queries, "r (n q) d -> n r q d", q=queries_at_once)
        out = jax.lax.map(lambda block: one_block(block, keys, values, bias), blocks)
        return einops.rearrange(out, "n r q d -> r (n q) d")

    out = jax.lax.map(one_row, (queries, heads_first(keys), heads_first(values), bias))
    return einops.rearrange(out.reshape(rows, length, -1), "(b h) n d -> b n h d", h=heads)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is at most `limit`, and at least 1."""
    return max(d for d in range(1, max(1, min(number, limit)) + 1) if number % d == 0)


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
        self.q_proj = nn.Dense(self.internal_dim, dtype=self.dtype)
        self.k_proj = nn.Dense(self.internal_dim, dtype=self.dtype)
        self.v_proj = nn.Dense(self.internal_dim, dtype=self.dtype)
        self.out_proj = nn.Dense(self.dim, dtype=self.dtype)

    def __call__(self, queries: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array | None = None):
        """(B, Nq, C), (B, Nk, C), (B, Nk, C), and valid keys (B, Nk) -> (B, Nq, `dim`)."""
        split = lambda x: einops.rearrange(x, "b n (h d) -> b n h d", h=self.heads)  # noqa: E731
        out = attention(
            split(self.q_proj(queries)),
            split(self.k_proj(keys)),
            split(self.v_proj(values)),
            valid,
            self.implementation,
        )
        return self.out_proj(einops.rearrange(out, "b n h d -> b n (h d)"))
