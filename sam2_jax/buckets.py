# SPDX-License-Identifier: Apache-2.0
"""The few sizes that arrays are padded to, so that one more click, object or frame compiles nothing. No jax."""


def bucket(count: int, fewest: int = 1) -> int:
    """The power of two that `count` things are padded to."""
    return max(fewest, 1 << max(count - 1, 0).bit_length())
