# SPDX-License-Identifier: Apache-2.0
"""Attention by the fused kernel of NVIDIA GPUs (cuDNN), which holds no score matrix."""

import jax
import jax.numpy as jnp


def attend(queries: jax.Array, keys: jax.Array, values: jax.Array, lengths: jax.Array | None = None) -> jax.Array:
    """Arguments and result are those of `dispatch.attention`, in a 16-bit type."""
    width = values.shape[-1]
    # Values are as wide as keys here. Memories are narrower: the zeros cost products, but far less than another pass.
    values = jnp.pad(values, ((0, 0),) * 3 + ((0, keys.shape[-1] - width),))
    limits = {}
    if lengths is not None:
        # Under vmap the kernel wants lengths of queries and keys from the same batch, so both come from one array.
        every_query = lengths * 0 + queries.shape[1]
        limits = dict(query_seq_lengths=every_query, key_value_seq_lengths=lengths)
    return jax.nn.dot_product_attention(queries, keys, values, implementation="cudnn", **limits)[..., :width]
