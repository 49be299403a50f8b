# SPDX-License-Identifier: Apache-2.0
"""The one attention function, and the multi-head layer of the mask decoder made from it.

In: queries, keys and values (B, N, heads, D), and which keys are valid. Out: (B, N, heads, Dv). Softmax is float32.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.model.layers import dense

# What `blocked` holds at once: 2**20 scores in float32 are 4 MB, about a core's share of the cache.
_SCORES_AT_ONCE = 2**20
_KEYS_AT_ONCE = 256
# From so many scores of a head on, the kernel of TPUs is worth what it takes to lay its inputs out.
_FLASH_FROM = 2**20
BEST_ON_TPU = "flash"


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
            NVIDIA GPUs (16-bit types only); ``flash`` is that of TPUs (`sam2_jax.model.flash`) where there are many
            scores and the mesh, if one is set, divides the rows, and ``xla`` elsewhere; ``auto`` is the best of these
            for the device and the type.

    Returns:
        (B, Nq, heads, Dv) in the type of `values`.
    """
    if implementation == "auto":
        implementation = _best_implementation(queries)
    if implementation == "blocked":
        return _blocked(queries, keys, values, valid)
    if implementation == "flash" and _suits_flash(queries, keys):
        from sam2_jax.model.flash import flash  # only here is Pallas needed, which is slow to load

        return flash(queries, keys, values, valid)
    mask = None if valid is None else valid[:, None, None, :]
    if implementation in ("xla", "flash"):
        return _dense(queries, keys, values, mask)
    return jax.nn.dot_product_attention(queries, keys, values, mask=mask, implementation=implementation)


def walks_in_blocks(implementation: str) -> bool:
    """Whether work is done piece by piece on this device, so that a piece stays in the cache."""
    return implementation == "blocked" or (implementation == "auto" and jax.default_backend() == "cpu")


def _best_implementation(queries: jax.Array) -> str:
    if walks_in_blocks("auto"):
        return "blocked"
    head_dim = queries.shape[-1]
    # The fused kernel takes heads of at most 128 channels on Ampere and 256 on Hopper, in multiples of 8.
    if jax.default_backend() == "gpu" and queries.dtype != jnp.float32 and head_dim % 8 == 0:
        capability = float(jax.devices()[0].compute_capability)
        return "cudnn" if head_dim <= (256 if capability >= 9 else 128) else "blocked"
    # A kernel takes whole rows, and without a mesh nobody says which of several devices has which of them.
    known = not jax.sharding.get_abstract_mesh().empty or jax.device_count() == 1
    return BEST_ON_TPU if jax.default_backend() == "tpu" and known else "xla"


def _suits_flash(queries: jax.Array, keys: jax.Array) -> bool:
    mesh = jax.sharding.get_abstract_mesh()
    whole_rows = mesh.empty or len(queries) % mesh.size == 0
    return whole_rows and queries.shape[1] * keys.shape[1] >= _FLASH_FROM


def _dense(queries, keys, values, mask):
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys, preferred_element_type=jnp.float32)
    scores *= queries.shape[-1] ** -0.5
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    weights = jax.nn.softmax(scores).astype(values.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, values)


def _blocked(queries, keys, values, valid):
    length, heads, memories = queries.shape[1], queries.shape[2], keys.shape[1]
    queries = queries * jnp.asarray(queries.shape[-1] ** -0.5, queries.dtype)
    rows = [einops.rearrange(x, "b n h d -> (b h) n d") for x in (queries, keys, values)]
    if valid is not None:
        valid = jnp.repeat(valid, heads, axis=0)
    if length * memories <= _SCORES_AT_ONCE:
        out = _several_rows_at_once(*rows, valid)
    else:
        out = _several_keys_at_once(*rows, valid)
    return einops.rearrange(out, "(b h) n d -> b n h d", h=heads).astype(values.dtype)


def _several_rows_at_once(queries, keys, values, valid):
    """Many small problems, such as windows: (R, Nq, D), (R, Nk, D), (R, Nk, Dv), (R, Nk) -> (R, Nq, Dv)."""
    at_once = largest_divisor(len(queries), _SCORES_AT_ONCE // (queries.shape[1] * keys.shape[1]))

    @jax.checkpoint  # the scores are made anew in the backward pass; keeping them would undo the blocks
    def some_rows(block):
        queries, keys, values, valid = block
        scores = jnp.einsum("rqd,rkd->rqk", queries, keys, preferred_element_type=jnp.float32)
        if valid is not None:
            scores = jnp.where(valid[:, None], scores, -jnp.inf)
        weights = jnp.exp(scores - scores.max(-1, keepdims=True))
        out = jnp.einsum("rqk,rkd->rqd", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
        return out / weights.sum(-1, keepdims=True)  # divided after the product, which is narrower than the weights

    blocks = jax.tree.map(
        lambda x: einops.rearrange(x, "(n r) ... -> n r ...", r=at_once), (queries, keys, values, valid)
    )
    return jax.lax.map(some_rows, blocks).reshape(*queries.shape[:2], values.shape[2])


def _several_keys_at_once(queries, keys, values, valid):
    """A few large problems, row by row and a block of keys at a time, with a running maximum (Dao et al., 2022)."""
    length = queries.shape[1]
    padding = -keys.shape[1] % _KEYS_AT_ONCE
    bias = None
    if padding or valid is not None:
        valid = jnp.ones(keys.shape[:2], bool) if valid is None else valid
        # Finite, so that a block without any valid key gives no 0 / 0; its weights vanish beside those of any other.
        bias = jnp.where(jnp.pad(valid, ((0, 0), (0, padding))), 0.0, -1e30)
        keys, values = (jnp.pad(x, ((0, 0), (0, padding), (0, 0))) for x in (keys, values))

    def one_row(row):
        queries, keys, values, bias = row

        @jax.checkpoint
        def some_keys(carry, block):
            peak, total, out = carry
            keys, values, bias = block
            scores = jnp.einsum("qd,kd->qk", queries, keys, preferred_element_type=jnp.float32)
            if bias is not None:
                scores += bias
            new_peak = jnp.maximum(peak, scores.max(-1))
            weights = jnp.exp(scores - new_peak[:, None])
            fade = jnp.exp(peak - new_peak)
            update = jnp.einsum("qk,kd->qd", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
            return (new_peak, total * fade + weights.sum(-1), out * fade[:, None] + update), None

        blocks = jax.tree.map(lambda x: x.reshape(-1, _KEYS_AT_ONCE, *x.shape[1:]), (keys, values, bias))
        start = jnp.full(length, -jnp.inf), jnp.zeros(length), jnp.zeros((length, values.shape[-1]))
        (_, total, out), _ = jax.lax.scan(some_keys, start, blocks)
        return out / total[:, None]

    return jax.lax.map(one_row, (queries, keys, values, bias))


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
            self.implementation,
        )
        return self.out_proj(einops.rearrange(out, "b n h d -> b n (h d)"))
