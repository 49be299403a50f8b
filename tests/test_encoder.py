# SPDX-License-Identifier: Apache-2.0
"""The encoder gives the same whichever way it is computed, and drops paths only where it should."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_model

from sam2_jax.model import hiera
from sam2_jax.segmentation import encode_frames


def frames(size: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def largest_difference(ours, theirs) -> float:
    return max(
        float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs))
    )


@pytest.mark.parametrize("image_size", [64, 96, 160])
def test_strips_and_blocks_give_what_the_whole_map_gives(image_size, monkeypatch):
    monkeypatch.setattr(hiera, "_TOKENS_AT_ONCE", 64)
    blocked, params = small_model(image_size=image_size, attention="blocked")
    plain, _ = small_model(image_size=image_size, attention="xla")
    picture = frames(image_size)
    ours, theirs = encode_frames(blocked, params, picture), encode_frames(plain, params, picture)
    assert largest_difference(ours, theirs) < 1e-5


def test_a_picture_in_a_batch_is_encoded_as_alone():
    model, params = small_model()
    batch = frames(64, 3)
    together = encode_frames(model, params, batch)
    for index in range(3):
        alone = encode_frames(model, params, batch[index : index + 1])
        assert largest_difference(jax.tree.map(lambda x, i=index: x[i : i + 1], together), alone) < 1e-5


def test_uint8_and_float_pictures_are_the_same():
    model, params = small_model()
    whole = frames(64).round()
    assert (
        largest_difference(encode_frames(model, params, whole), encode_frames(model, params, whole.astype(np.uint8)))
        == 0
    )


def test_frames_of_another_size_are_refused():
    model, params = small_model()
    with pytest.raises(ValueError, match=r"shape \(1, 32, 32, 3\); expected \(B, 64, 64, 3\)"):
        encode_frames(model, params, frames(32))


def test_a_dropped_path_is_dropped_for_a_whole_picture_and_made_up_for_in_the_mean():
    block = hiera.Block(8, 8, 1, 4, False, jnp.float32, "xla")
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 8))
    params = block.init(jax.random.key(1), x, False)
    whole, half = block.apply(params, x, True), x + block.apply(params, x, method=lambda m, x: m.attn(m.norm1(x)))
    shares = jnp.array([[0, 1, 1, 0], [0, 1, 0, 1.0]])
    np.testing.assert_allclose(
        block.apply(params, x, True, shares)[:3], [x[0], whole[1], half[2]], rtol=1e-5, atol=1e-5
    )


def test_paths_are_dropped_the_oftener_the_deeper():
    shares = hiera._drop_paths(jax.random.key(0), 0.4, 5, 4000)
    np.testing.assert_allclose((shares == 0).mean((1, 2)), [0, 0.1, 0.2, 0.3, 0.4], atol=0.02)
    np.testing.assert_allclose(shares.mean((1, 2)), 1, atol=0.03)
    np.testing.assert_allclose(shares[-1][shares[-1] > 0], 1 / 0.6, rtol=1e-6)
    assert (shares[:, 0] != shares[:, 1]).any()


def test_equal_blocks_in_a_loop_have_the_gradients_of_each_block_by_itself():
    model, params = small_model(drop_path_rate=0.0, stages=(1, 3, 5, 1), global_attention_blocks=(6,))
    picture = jnp.asarray(frames(64) / 255)

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def gradients(params, train, rematerialise):
        def loss(params):
            features = model.apply({"params": params}, picture, train, rematerialise, method="encode_frames")
            return sum((x**2).mean() for x in jax.tree.leaves(features))

        return jax.grad(loss)(params)["image_encoder"]

    each_by_itself = gradients(params, False, False)
    for rematerialise in (False, True):
        assert largest_difference(gradients(params, True, rematerialise), each_by_itself) < 1e-4


def test_training_without_dropping_equals_inference():
    model, params = small_model(drop_path_rate=0.0)
    picture = jnp.asarray(frames(64) / 255)
    train = model.apply({"params": params}, picture, True, method="encode_frames", rngs={"dropout": jax.random.key(0)})
    assert largest_difference(train, model.apply({"params": params}, picture, method="encode_frames")) < 1e-5
