# SPDX-License-Identifier: Apache-2.0
"""Weights go in and out unchanged, in every format; a checkpoint that does not fit says all that is wrong with it."""

import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rule_weights import draw
from safetensors.numpy import save_file
from small import SMALL, rule_state, small_model

import sam2_jax
from sam2_jax.checkpoints import one_file, torch_file
from sam2_jax.checkpoints.names import from_published, published_names, to_published
from sam2_jax.checkpoints.transformers_names import config_from_transformers, to_published_names
from sam2_jax.config import PUBLISHED, change
from sam2_jax.model import SAM2

with gzip.open(Path(__file__).parent / "recorded" / "names.json.gz") as file:
    NAMES = json.load(file)  # of the published checkpoints and of transformers (`recorded/make_names.py`)


def same(ours, theirs) -> bool:
    return jax.tree.structure(ours) == jax.tree.structure(theirs) and all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs))
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_tensor_has_its_name_and_shape(name):
    ours = {name: list(entry.shape) for name, entry in published_names(SAM2(PUBLISHED[name])).items()}
    assert ours == NAMES[name]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n.endswith("tiny") else pytest.mark.slow) for n in PUBLISHED]
)
def test_published_weights_come_back_bit_for_bit(name, tmp_path):
    state = {tensor: draw(tensor, tuple(shape)) for tensor, shape in NAMES[name].items()}
    torch_file.write(tmp_path / "published.pt", state)
    model, params = sam2_jax.load(tmp_path / "published.pt")
    assert model.config == PUBLISHED[name]
    sam2_jax.export_torch(tmp_path / "back.pt", model, params)
    back = torch_file.read(tmp_path / "back.pt")
    assert back.keys() == state.keys()
    assert all(np.array_equal(back[tensor].view(np.int32), state[tensor].view(np.int32)) for tensor in state)


def test_one_small_file_holds_the_model_and_its_config(tmp_path):
    model, params = small_model()
    one_file.write(tmp_path / "small.safetensors", model, params)
    found, back = sam2_jax.load(tmp_path / "small.safetensors")
    assert found == model
    assert same(back, jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), params))
    smaller, _ = sam2_jax.load(tmp_path / "small.safetensors", image_size=32)
    assert smaller.config == change(model.config, image_size=32)


def test_nano_comes_with_the_package():
    (file,) = one_file.BUNDLED.glob("*.safetensors")
    assert file.stat().st_size < 10e6
    model, params = sam2_jax.load("nano")
    assert (model.config.name, model.config.has_memory) == ("nano", True)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) < 4e6


def test_a_bundled_name_gives_way_to_a_path_that_is_so_called(tmp_path, monkeypatch):
    model, params = small_model()
    monkeypatch.setattr(one_file, "BUNDLED", tmp_path / "bundled")
    one_file.BUNDLED.mkdir()
    one_file.write(one_file.BUNDLED / "mine.safetensors", model, params)
    monkeypatch.chdir(tmp_path)
    assert sam2_jax.load("mine")[0] == model
    Path("mine").mkdir()
    with pytest.raises(sam2_jax.CheckpointError, match="mine holds neither"):
        sam2_jax.load("mine")
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        sam2_jax.load("absent")


def transformers_state(kind: str) -> dict[str, np.ndarray]:
    """A transformers state dict whose values are those that the rule gives the published names."""
    state = {}
    for name, shape in NAMES[kind].items():
        if name.endswith("positional_embedding"):
            state[name] = draw("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", tuple(shape))
        elif name == "prompt_encoder.point_embed.weight":
            rows = [draw(f"sam_prompt_encoder.point_embeddings.{kind}.weight", (1, shape[1])) for kind in range(4)]
            state[name] = np.concatenate(rows)
        else:
            (published,) = to_published_names({name: np.zeros(1)})
            state[name] = draw(published, tuple(shape))
    return state


@pytest.mark.parametrize("kind", ["Sam2VideoModel", "Sam2Model"])
def test_transformers_names_are_the_published_ones(kind):
    renamed = to_published_names({name: np.zeros(shape) for name, shape in NAMES[kind].items()})
    whole = NAMES["sam2.1_hiera_tiny"]
    picture_parts = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")
    expected = whole if kind == "Sam2VideoModel" else {k: v for k, v in whole.items() if k.startswith(picture_parts)}
    assert {name: list(tensor.shape) for name, tensor in renamed.items()} == expected


@pytest.mark.parametrize("layout", ["file", "folder", "shards"])
def test_transformers_checkpoints_load_from_file_folder_and_shards(layout, tmp_path):
    state = transformers_state("Sam2VideoModel")
    if layout == "shards":
        halves = dict(list(state.items())[:200]), dict(list(state.items())[200:])
        files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        for half, name in zip(halves, files):
            save_file(half, tmp_path / name)
        index = {name: file for half, file in zip(halves, files) for name in half}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    else:
        save_file(state, tmp_path / "model.safetensors")
    if layout != "file":
        (tmp_path / "config.json").write_text(json.dumps(NAMES["Sam2VideoModel/config"]))
    model, params = sam2_jax.load(tmp_path / "model.safetensors" if layout == "file" else tmp_path)
    assert model.config == PUBLISHED["sam2.1_hiera_tiny"]
    expected = {tensor: draw(tensor, tuple(shape)) for tensor, shape in NAMES["sam2.1_hiera_tiny"].items()}
    assert same(to_published(model, params), expected)


def test_an_image_only_checkpoint_segments_pictures(tmp_path):
    save_file(transformers_state("Sam2Model"), tmp_path / "model.safetensors")
    model, params = sam2_jax.load(tmp_path / "model.safetensors", image_size=64)
    assert not model.config.has_memory
    predictor = sam2_jax.SAM2ImagePredictor(model, params)
    predictor.set_image(np.zeros((40, 50, 3), np.uint8))
    assert predictor.predict(np.array([[20, 20]]), np.array([1]))[0].shape == (3, 40, 50)


def test_two_copies_of_the_fourier_matrix_must_agree():
    state = transformers_state("Sam2Model")
    state["prompt_encoder.shared_embedding.positional_embedding"] += 1
    with pytest.raises(sam2_jax.CheckpointError, match="differ; expected two copies"):
        to_published_names(state)


def test_another_model_of_transformers_is_refused():
    with pytest.raises(sam2_jax.CheckpointError, match=r"'sam3' model; expected 'sam2'"):
        config_from_transformers({"model_type": "sam3"})


def test_an_orbax_directory_carries_its_config(tmp_path):
    model, params = small_model(image_size=96)
    sam2_jax.save(tmp_path / "checkpoint", model, params)
    loaded, restored = sam2_jax.load(tmp_path / "checkpoint")
    assert loaded == model
    assert same(restored, params)
    assert sam2_jax.load(tmp_path / "checkpoint", image_size=128, dtype="bfloat16")[0].config.image_size == 128


def test_an_orbax_directory_is_never_overwritten(tmp_path):
    model, params = small_model()
    sam2_jax.save(tmp_path / "checkpoint", model, params)
    with pytest.raises(FileExistsError, match="exists already"):
        sam2_jax.save(tmp_path / "checkpoint", model, params)


def test_a_damaged_orbax_directory_is_named(tmp_path):
    model, params = small_model()
    sam2_jax.save(tmp_path / "checkpoint", model, params)
    for part in (tmp_path / "checkpoint" / "params").rglob("*"):
        if part.is_file():
            part.write_bytes(b"")
    with pytest.raises(sam2_jax.CheckpointError, match="checkpoint"):
        sam2_jax.load(tmp_path / "checkpoint")


def test_weights_of_no_published_shape_load_with_their_config(tmp_path):
    model, params = small_model()
    sam2_jax.export_torch(tmp_path / "small.pt", model, params)
    with pytest.raises(sam2_jax.CheckpointError, match="width 16 and 5 blocks, which no published model has"):
        sam2_jax.load(tmp_path / "small.pt")
    fields = {name: value for name, value in vars(SMALL).items() if name != "image_size"}
    loaded, restored = sam2_jax.load(tmp_path / "small.pt", image_size=64, **fields)
    assert loaded == model
    assert same(restored, params)


def test_all_that_is_wrong_is_said_at_once():
    model, _ = small_model()
    state = dict(rule_state(model))
    del state["no_mem_embed"]
    state["surplus.weight"] = np.zeros(3, np.float32)
    state["no_obj_ptr"] = np.zeros((2, 2), np.float32)
    state["maskmem_tpos_enc"] = np.full_like(state["maskmem_tpos_enc"], np.nan)
    with pytest.raises(sam2_jax.CheckpointError) as caught:
        from_published(model, state, "weights.pt")
    for part in (
        "weights.pt does not hold the weights of small_for_tests",
        "1 missing (no_mem_embed)",
        "1 unused (surplus.weight)",
        "no_obj_ptr is (2, 2), expected (1, 32)",
        "1 not finite (maskmem_tpos_enc)",
    ):
        assert part in str(caught.value)


def test_another_model_than_asked_for_is_refused(tmp_path):
    state = {tensor: draw(tensor, tuple(shape)) for tensor, shape in NAMES["sam2.1_hiera_tiny"].items()}
    torch_file.write(tmp_path / "tiny.pt", state)
    with pytest.raises(sam2_jax.CheckpointError, match=r"does not hold the weights of sam2.1_hiera_small: \d+ missing"):
        sam2_jax.load(tmp_path / "tiny.pt", name="sam2.1_hiera_small")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "does not exist; expected a .pt file"),
        (lambda path: path.mkdir(), "holds neither model.safetensors nor an Orbax checkpoint"),
        (lambda path: path.write_bytes(b"\0" * 100), "is of no known kind"),
    ],
)
def test_a_path_without_a_checkpoint_is_named(make, sentence, tmp_path):
    make(tmp_path / "weights")
    with pytest.raises((sam2_jax.CheckpointError, FileNotFoundError), match=sentence):
        sam2_jax.load(tmp_path / "weights")


def test_a_published_name_that_is_not_there_says_where_to_get_it():
    with pytest.raises(FileNotFoundError, match=r"huggingface\.co/facebook/sam2.1-hiera-base-plus"):
        sam2_jax.load("sam2.1_hiera_base_plus.pt")


def test_a_truncated_safetensors_file_is_named(tmp_path):
    save_file({"vision_encoder.x": np.zeros(100, np.float32)}, tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-50])
    with pytest.raises(sam2_jax.CheckpointError, match=r"model.safetensors is not a readable safetensors file"):
        sam2_jax.load(tmp_path / "model.safetensors")
