# SPDX-License-Identifier: Apache-2.0
"""The one attention function.

In: queries, keys and values (B, N, heads, D), and which keys are valid. Out: (B, N, heads, Dv). Softmax is float32.
"""

import jax
import jax.numpy as jnp

from sam2_jax.model.attention import cudnn, dense, tiled
from sam2_jax.model.attention.choice import BY_KEY, BY_LENGTH, NO_MASK, Call, choose
from sam2_jax.target import current_target


def attention(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    valid: jax.Array | None = None,
    lengths: jax.Array | None = None,
    implementation: str = "auto",
    train: bool = False,
) -> jax.Array:
    """Softmax attention with scores scaled by 1/sqrt(D).

    Args:
        queries: (B, Nq, heads, D).
        keys: (B, Nk, heads, D).
        values: (B, Nk, heads, Dv).
        valid: (B, Nk) bool, the keys that count; or
        lengths: (B,) int32, how many keys of each row count, from its first on; None of both for all. A key that does
            not count has a weight of exactly zero. At least one key of each row must count.
        implementation: ``xla`` holds the whole score matrix and is the reference; ``blocked`` goes over blocks of keys
            and is thrifty everywhere; ``cudnn`` is the fused kernel of NVIDIA GPUs and ``flash`` that of TPUs, for the
            calls that they accept; ``auto`` is the best of these (`choice.choose`).
        train: whether the call is differentiated.

    Returns:
        (B, Nq, heads, Dv) in the type of `values`.
    """
    (rows, length, heads, dim), memories = queries.shape, keys.shape[1]
    mask = NO_MASK if valid is None and lengths is None else BY_KEY if lengths is None else BY_LENGTH
    call = Call(rows, length, memories, heads, dim, values.shape[-1], str(queries.dtype), mask, train)
    chosen = choose(call, current_target(), implementation)
    if chosen == "cudnn":
        return cudnn.attend(queries, keys, values, lengths)
    if lengths is not None:
        valid = jnp.arange(memories) < lengths[:, None]
    if chosen == "flash":
        from sam2_jax.model.attention import splash  # only here is Pallas needed, which is slow to load

        return splash.attend(queries, keys, values, valid)
    return (tiled if chosen == "blocked" else dense).attend(queries, keys, values, valid)
