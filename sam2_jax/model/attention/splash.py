# SPDX-License-Identifier: Apache-2.0
"""Attention without a score matrix, by the Pallas kernel that comes with JAX for TPUs (Dao et al., 2022).

In: queries, keys and values (B, N, heads, D), and which keys are valid. Out: (B, N, heads, Dv), and gradients.
"""

from collections.abc import Callable

import einops
import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention.splash_attention_mask_info import MaskInfo

# Bytes of a block's tokens, each channel: what the fast memory of v4, v5 and v6 chips has room for. The backward pass
# has more score matrices at once, and in a large program the compiler leaves it less room than when it is alone.
_BLOCK_BYTES, _BACKWARD_BLOCK_BYTES = 2048, 1024
_LANES = 128
_ATTENDED, _PADDING = 1, 0  # keys that a query sees bear its own number
_INTERPRET = False  # tests run the kernel without a TPU


def attend(queries: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Arguments and result are those of `dispatch.attention`.

    The compiler cannot divide a kernel over devices. Where a mesh is set, as public functions do for arrays that are on
    one, the rows of the batch are divided over all of it, and its size must divide them; without one everything is on
    one device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if valid is None:
        valid = jnp.ones(keys.shape[:2], bool)
    if mesh.empty or mesh.are_all_axes_manual:
        return _on_one_device(queries, keys, values, valid)
    rows = jax.P(mesh.axis_names)
    # The kernel says nothing of how its results vary over the mesh, so that cannot be checked.
    divided = jax.shard_map(_on_one_device, in_specs=(rows,) * 4, out_specs=rows, check_vma=False)
    return divided(queries, keys, values, valid)


def _on_one_device(queries, keys, values, valid):
    length = queries.shape[1]
    query_block, key_block = (_block(x) for x in (queries, keys))
    queries = _padded(queries * jnp.asarray(queries.shape[-1] ** -0.5, queries.dtype), query_block)
    keys, values, valid = (_padded(x, key_block) for x in (keys, values, valid))
    largest = _BACKWARD_BLOCK_BYTES // queries.dtype.itemsize
    kernel = _kernel(query_block, key_block, min(query_block, largest), min(key_block, largest))

    def one_row(queries, keys, values, valid):
        attended = jnp.full(queries.shape[1], _ATTENDED)
        numbers = splash.SegmentIds(q=attended, kv=jnp.where(valid, _ATTENDED, _PADDING))
        return kernel(queries, keys, values, segment_ids=numbers)

    heads_first = (einops.rearrange(x, "b n h d -> b h n d") for x in (queries, keys, values))
    rows = jax.vmap(one_row)
    # Kernels have a float32 product's lowest precision and its highest, and nothing between them.
    fast = jax.config.jax_default_matmul_precision in (None, "default", "fastest", "bfloat16")
    if not fast:
        rows = _with_precision(rows, "highest" if queries.dtype == jnp.float32 else "default")
    out = rows(*heads_first, valid)
    return einops.rearrange(out, "b h n d -> b n h d")[:, :length].astype(values.dtype)


def _with_precision(function: Callable, precision: str) -> Callable:
    """The function, traced with a precision forward and backward; it must close over no arrays."""

    def with_precision(function: Callable) -> Callable:
        def call(*args):
            with jax.default_matmul_precision(precision):
                return function(*args)

        return call

    differentiable = jax.custom_vjp(with_precision(function))
    # The backward pass is traced later, when the caller's precision is in force again.
    differentiable.defvjp(
        with_precision(lambda *args: jax.vjp(function, *args)), with_precision(lambda pullback, g: pullback(g))
    )
    return differentiable


def _block(x: jax.Array) -> int:
    """How many tokens of (B, N, heads, D) are taken at once, a power of 2."""
    return min(_BLOCK_BYTES // x.dtype.itemsize, max(_LANES, 1 << (x.shape[1] - 1).bit_length()))


def _padded(x: jax.Array, block: int) -> jax.Array:
    """(B, N, ...) with N up to the next multiple of `block`."""
    return jnp.pad(x, ((0, 0), (0, -x.shape[1] % block), *((0, 0),) * (x.ndim - 2)))


def _kernel(
    query_block: int, key_block: int, backward_query_block: int, backward_key_block: int
) -> splash.SplashAttentionKernel:
    # Which blocks of a mask are empty is what this kernel is made to know; here all of them are computed.
    every_block = MaskInfo(None, None, None, None, None)
    return splash.SplashAttentionKernel(
        *(every_block,) * 3,
        block_sizes=splash.BlockSizes(
            block_q=query_block,
            block_kv=key_block,
            block_q_dkv=backward_query_block,
            block_kv_dkv=backward_key_block,
            block_q_dq=backward_query_block,
            block_kv_dq=backward_key_block,
        ),
        is_mqa=False,
        save_residuals=False,
        mask_value=splash.DEFAULT_MASK_VALUE,
        attn_logits_soft_cap=None,
        residual_checkpoint_name=None,
        mask_function=None,
        interpret=_INTERPRET,
    )
