# SPDX-License-Identifier: Apache-2.0
"""Attention a block of keys at a time, with a running maximum (Dao et al., 2022): plain JAX, thrifty on any device.

On an accelerator all rows go through the blocks together, so that rows that are divided over devices stay where they
are. On a single CPU each piece of the work is made small enough for a core's cache.
"""

import einops
import jax
import jax.numpy as jnp

from sam2_jax.target import current_target

_KEYS_AT_ONCE = 2048
# A CPU's cache: 2**20 scores in float32 are 4 MB, about a core's share of it.
_CPU_KEYS_AT_ONCE = 256
_CPU_SCORES_AT_ONCE = 2**20


def attend(queries: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Arguments and result are those of `dispatch.attention`."""
    queries = queries * jnp.asarray(queries.shape[-1] ** -0.5, queries.dtype)
    heads = queries.shape[2]
    if not use_cpu_tiling():
        heads_first = (einops.rearrange(x, "b n h d -> b h n d") for x in (queries, keys, values))
        valid = None if valid is None else valid[:, None]
        out = _over_keys(*heads_first, valid, _KEYS_AT_ONCE)
        return einops.rearrange(out, "b h n d -> b n h d").astype(values.dtype)
    rows = [einops.rearrange(x, "b n h d -> (b h) n d") for x in (queries, keys, values)]
    if valid is not None:
        valid = jnp.repeat(valid, heads, axis=0)
    if queries.shape[1] * keys.shape[1] <= _CPU_SCORES_AT_ONCE:
        out = _over_rows(*rows, valid)
    else:
        out = jax.lax.map(lambda row: _over_keys(*row, _CPU_KEYS_AT_ONCE), (*rows, valid))
    return einops.rearrange(out, "(b h) n d -> b n h d", h=heads).astype(values.dtype)


def use_cpu_tiling(implementation: str = "auto") -> bool:
    """Whether work is done piece by piece for a CPU's cache. Several CPU devices divide it by rows instead."""
    target = current_target()
    return implementation in ("auto", "blocked") and target.platform == "cpu" and target.devices == 1


def _over_rows(queries, keys, values, valid):
    """Many small problems, such as windows: (R, Nq, D), (R, Nk, D), (R, Nk, Dv), (R, Nk) -> (R, Nq, Dv)."""
    at_once = largest_divisor(len(queries), _CPU_SCORES_AT_ONCE // (queries.shape[1] * keys.shape[1]))

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


def _over_keys(queries, keys, values, valid, at_once: int):
    """A few large problems: (..., Nq, D), (..., Nk, D), (..., Nk, Dv), (..., Nk) -> (..., Nq, Dv)."""
    at_once = min(at_once, keys.shape[-2])
    padding = -keys.shape[-2] % at_once
    bias = None
    if padding or valid is not None:
        valid = jnp.ones(keys.shape[:-1], bool) if valid is None else jnp.broadcast_to(valid, keys.shape[:-1])
        # Finite, so that a block without any valid key gives no 0 / 0; its weights vanish beside those of any other.
        bias = jnp.where(_padded(valid, -1, padding), 0.0, -1e30)
        keys, values = (_padded(x, -2, padding) for x in (keys, values))

    @jax.checkpoint
    def some_keys(carry, block):
        peak, total, out = carry
        keys, values, bias = block
        scores = jnp.einsum("...qd,...kd->...qk", queries, keys, preferred_element_type=jnp.float32)
        if bias is not None:
            scores += bias[..., None, :]
        new_peak = jnp.maximum(peak, scores.max(-1))
        weights = jnp.exp(scores - new_peak[..., None])
        fade = jnp.exp(peak - new_peak)
        weighed = weights.astype(values.dtype)
        update = jnp.einsum("...qk,...kd->...qd", weighed, values, preferred_element_type=jnp.float32)
        return (new_peak, total * fade + weights.sum(-1), out * fade[..., None] + update), None

    def blocks(x: jax.Array, axis: int) -> jax.Array:
        axis += x.ndim
        cut = x.reshape(*x.shape[:axis], -1, at_once, *x.shape[axis + 1 :])
        return jnp.moveaxis(cut, axis, 0)

    cut = blocks(keys, -2), blocks(values, -2), None if bias is None else blocks(bias, -1)
    # Made of the queries, so that the rows of what is carried are divided over devices as theirs are.
    nothing = jnp.zeros_like(queries[..., 0], jnp.float32)
    start = nothing - jnp.inf, nothing, jnp.zeros((*nothing.shape, values.shape[-1]))
    (_, total, out), _ = jax.lax.scan(some_keys, start, cut)
    return out / total[..., None]


def _padded(x: jax.Array, axis: int, padding: int) -> jax.Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = 0, padding
    return jnp.pad(x, widths)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is at most `limit`, and at least 1."""
    return max(d for d in range(1, max(1, min(number, limit)) + 1) if number % d == 0)
