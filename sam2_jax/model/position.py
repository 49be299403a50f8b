# SPDX-License-Identifier: Apache-2.0
"""Position codes: where a token, a point or a moment is.

In: sizes, coordinates or times. Out: float32 codes, whatever the type the rest is computed in.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def sine_code_2d(height: int, width: int, dim: int, temperature: float = 10_000.0) -> np.ndarray:
    """Absolute sinusoidal code of a map: (H, W, dim), the first half of y and the second of x.

    Positions run over (0, 2 pi], so the code does not depend on the resolution. It depends on sizes alone, hence NumPy:
    under jit it is a constant.
    """
    frequencies = temperature ** (2 * (np.arange(dim // 2) // 2) / (dim // 2))

    def code(length):
        position = np.arange(1, length + 1) / (length + 1e-6) * 2 * np.pi
        angles = position[:, None] / frequencies
        # Sines and cosines take turns along the channels.
        return np.stack([np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])], -1).reshape(length, -1)

    y = einops.repeat(code(height), "h c -> h w c", w=width)
    x = einops.repeat(code(width), "w c -> h w c", h=height)
    return np.concatenate([y, x], -1).astype(np.float32)


def sine_code_1d(position: jax.Array, dim: int, temperature: float = 10_000.0) -> jax.Array:
    """Sinusoidal code of moments: (...) -> (..., dim), all sines first, then all cosines."""
    frequencies = temperature ** (2 * (np.arange(dim // 2) // 2) / (dim // 2))
    angles = position[..., None].astype(jnp.float32) / frequencies.astype(np.float32)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def rotary_table(height: int, width: int, dim: int, theta: float = 10_000.0) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the 2-D rotary code of a map, (H W, dim / 2) each (section D.1).

    The first half of the channel pairs turns with x, the second with y.
    """
    frequencies = theta ** (-np.arange(0, dim, 4)[: dim // 4] / dim)
    y, x = np.divmod(np.arange(height * width), width)
    angles = np.concatenate([x[:, None] * frequencies, y[:, None] * frequencies], -1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(x: jax.Array, cosines: np.ndarray, sines: np.ndarray) -> jax.Array:
    """Turns each pair of adjacent channels of x (..., N, C) by the angle of its token and pair."""
    pairs = einops.rearrange(x.astype(jnp.float32), "... (c two) -> ... c two", two=2)
    even, odd = pairs[..., 0], pairs[..., 1]
    turned = jnp.stack([even * cosines - odd * sines, even * sines + odd * cosines], -1)
    return turned.reshape(x.shape).astype(x.dtype)


class RandomFourierCode(nn.Module):
    """Code of any point by random Fourier features; the frequencies are drawn once and never trained.

    Attributes:
        dim: channels of the code.
    """

    dim: int

    def setup(self):
        self.positional_encoding_gaussian_matrix = self.param(
            "positional_encoding_gaussian_matrix", nn.initializers.normal(1.0), (2, self.dim // 2)
        )

    def __call__(self, points: jax.Array) -> jax.Array:
        """Points (..., 2) as (x, y) in [0, 1] of the picture -> (..., dim)."""
        matrix = jax.lax.stop_gradient(self.positional_encoding_gaussian_matrix)
        angles = 2 * np.pi * jnp.matmul(2 * points - 1, matrix, precision=jax.lax.Precision.HIGHEST)
        return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)

    def of_map(self, height: int, width: int) -> jax.Array:
        """The code of every token's centre: (H, W, dim)."""
        y, x = np.mgrid[:height, :width] + 0.5
        return self(np.stack([x / width, y / height], -1).astype(np.float32))
