# SPDX-License-Identifier: Apache-2.0
"""Attention with a whole score matrix, as it is written in books: the reference for every other way."""

import jax
import jax.numpy as jnp


def attend(queries: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Arguments and result are those of `dispatch.attention`."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys, preferred_element_type=jnp.float32)
    scores *= queries.shape[-1] ** -0.5
    if valid is not None:
        scores = jnp.where(valid[:, None, None], scores, -jnp.inf)
    weights = jax.nn.softmax(scores).astype(values.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, values)
