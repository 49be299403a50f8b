# SPDX-License-Identifier: Apache-2.0
"""A run begins with what it is told to: a checkpoint, a pre-trained encoder among new weights, or new ones."""

import dataclasses

import numpy as np
import pytest
from flax import traverse_util
from rule_weights import draw
from small import SMALL, small_model

import sam2_jax
from sam2_jax.checkpoints import CheckpointError, torch_file
from sam2_jax.checkpoints.names import published_names, to_published
from sam2_jax.config import change
from sam2_jax.model import SAM2
from sam2_jax.model.position import rotary_table, rotate
from sam2_jax.model.prompt_encoder import PromptEncoder
from train.initialization import initial_params

TRUNK = "image_encoder.trunk."
MODEL = SAM2(change(SMALL, position_embedding_size=(7, 7)))  # whose cells lie on Hiera's 56 x 56 tokens


def equal(ours: dict, theirs: dict) -> bool:
    ours, theirs = (traverse_util.flatten_dict(params, sep="/") for params in (ours, theirs))
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def new():
    return initial_params(MODEL, None, seed=3)


@pytest.fixture(scope="module")
def location_aware():
    return initial_params(MODEL, None, seed=3, location_aware=True)


def hiera_state() -> dict[str, np.ndarray]:
    """What Hiera's authors publish of masked auto-encoding, with weights drawn by rule."""
    state = {}
    for name, entry in published_names(MODEL).items():
        name = name.removeprefix(TRUNK).replace(".mlp.layers.0.", ".mlp.fc1.").replace(".mlp.layers.1.", ".mlp.fc2.")
        if name.startswith(("blocks.", "patch_embed.")):
            state[name] = draw(name, entry.shape)
    left_behind = ("encoder_norm.weight", "mask_token", "decoder_pos_embed", "decoder_blocks.0.norm1.weight")
    left_behind += ("multi_scale_fusion_heads.0.weight", "decoder_embed.weight", "norm.bias", "head.projection.bias")
    return state | {name: draw(name, (4,)) for name in left_behind}


def test_new_weights_come_from_the_seed(new):
    assert equal(initial_params(MODEL, None, seed=3), new)
    assert not equal(initial_params(MODEL, None, seed=4), new)


def test_new_weights_are_drawn_as_in_the_published_code_where_nothing_else_is_asked_for(new):
    """PyTorch draws a layer's weights from one interval, each layer's alone; its biases of attention are small."""
    decoder = new["sam_mask_decoder"]["transformer"]["layers_0"]["cross_attn_token_to_image"]
    queries, keys = (decoder[name]["kernel"] for name in ("q_proj", "k_proj"))
    assert abs(np.corrcoef(queries.ravel(), keys.ravel())[0, 1]) < 0.2
    assert 0.5 < keys.std() / queries.std() < 2
    memory = new["memory_attention"]["layers_0"]["cross_attn_image"]
    assert all(np.abs(memory[name]["bias"]).max() < 0.5 for name in ("q_proj", "k_proj"))


def test_location_aware_weights_differ_in_cross_attention_alone(new, location_aware):
    ours, theirs = (traverse_util.flatten_dict(params, sep="/") for params in (location_aware, new))
    changed = {name for name in theirs if not np.array_equal(ours[name], theirs[name])}
    assert changed and all("cross_attn" in name or "final_attn_token_to_image" in name for name in changed)
    assert all(name.endswith(("k_proj/kernel", "k_proj/bias", "q_proj/bias")) for name in changed)


def test_new_prompts_look_where_they_are(location_aware):
    """Of the keys of all locations the one at a click's own location is the nearest to its query."""
    new = location_aware
    code = PromptEncoder(MODEL.config).bind({"params": new["sam_prompt_encoder"]}).map_code().reshape(-1, 32)
    attention = new["sam_mask_decoder"]["transformer"]["layers_0"]["cross_attn_token_to_image"]
    queries, keys = (code @ attention[name]["kernel"] for name in ("q_proj", "k_proj"))
    scores = np.asarray(queries @ keys.T)
    assert (scores.argmax(1) == np.arange(len(code))).mean() > 0.9


def test_new_memories_are_read_near_where_they_are(location_aware):
    attention = location_aware["memory_attention"]["layers_0"]["cross_attn_image"]
    cosines, sines = rotary_table(4, 4, MODEL.config.hidden_dim)
    queries, keys = (rotate(np.tile(attention[name]["bias"], (16, 1)), cosines, sines) for name in ("q_proj", "k_proj"))
    scores = np.asarray(queries @ keys.T)
    assert (scores.argmax(1) == np.arange(16)).all() and scores[5, 6] > scores[5, 7]


def test_hieras_encoder_is_taken_and_the_rest_is_new(new, tmp_path):
    window, cells = draw("window", (8, 8, 16)), draw("cells", (7, 7, 16))
    cells -= cells.mean((0, 1))
    tokens = np.tile(window, (7, 7, 1)) + cells.repeat(8, 0).repeat(8, 1)
    state = hiera_state() | {"pos_embed": tokens.reshape(1, 56 * 56, 16)}
    torch_file.write(tmp_path / "mae_hiera.pth", state)
    ours = to_published(MODEL, initial_params(MODEL, str(tmp_path / "mae_hiera.pth"), seed=3))
    of_new = to_published(MODEL, new)
    for name, tensor in ours.items():
        if not name.startswith(TRUNK):
            np.testing.assert_array_equal(tensor, of_new[name], err_msg=name)
    np.testing.assert_array_equal(ours[f"{TRUNK}blocks.4.mlp.layers.1.weight"], state["blocks.4.mlp.fc2.weight"])
    np.testing.assert_array_equal(ours[f"{TRUNK}patch_embed.proj.weight"], state["patch_embed.proj.weight"])
    # One embedding of every token is what the two of SAM 2 add up to.
    np.testing.assert_allclose(ours[f"{TRUNK}pos_embed_window"][0].transpose(1, 2, 0), window, atol=1e-5)
    np.testing.assert_allclose(ours[f"{TRUNK}pos_embed"][0].transpose(1, 2, 0), cells, atol=1e-5)


def test_a_hiera_of_another_size_is_refused(tmp_path):
    state = {name: tensor for name, tensor in hiera_state().items() if not name.startswith("blocks.4.")}
    torch_file.write(tmp_path / "short.pth", state | {"pos_embed": draw("pos", (1, 56 * 56, 16))})
    with pytest.raises(CheckpointError, match=r"is a Hiera without image_encoder.trunk.blocks.4.attn.proj.bias, "):
        initial_params(MODEL, str(tmp_path / "short.pth"), seed=0)
    torch_file.write(tmp_path / "odd.pth", hiera_state() | {"pos_embed": draw("pos", (1, 50 * 50, 16))})
    with pytest.raises(CheckpointError, match=r"position embedding of shape \(1, 2500, 16\); expected one row"):
        initial_params(MODEL, str(tmp_path / "odd.pth"), seed=0)


def test_a_checkpoint_is_taken_whole(tmp_path):
    model, params = small_model()
    sam2_jax.save(tmp_path / "orbax", model, params)
    assert equal(initial_params(model, str(tmp_path / "orbax"), seed=0), params)
    other = SAM2(dataclasses.replace(model.config, hidden_dim=64))
    with pytest.raises(CheckpointError, match="another model than this run's: its hidden_dim is 32, and here 64"):
        initial_params(other, str(tmp_path / "orbax"), seed=0)


def test_pictures_weights_are_joined_by_a_new_memory(tmp_path):
    model, params = small_model(has_memory=False)
    sam2_jax.save(tmp_path / "pictures", model, params)
    whole, _ = small_model()
    joined = initial_params(whole, str(tmp_path / "pictures"), seed=3)
    assert equal({name: joined[name] for name in params}, params)
    new = initial_params(whole, None, seed=3)
    assert equal(joined["memory_attention"], new["memory_attention"])
