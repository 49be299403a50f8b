# SPDX-License-Identifier: Apache-2.0
"""The experiments of `configs/` are those of the paper and of the released recipe, in every number."""

import ast
import pkgutil
import re
from pathlib import Path

import jax
import pytest

from configs import nano
from sam2_jax.model import SAM2
from train.__main__ import load_config
from train.config import check
from train.optimizer import parameter_groups, schedule
from train.sharding import MeshConfig, make_mesh

SIZES = ("tiny", "small", "base_plus", "large")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stage", ["pretrain", "full", "long_clips"])
def test_every_stage_of_the_paper_has_table_12s_numbers(stage, size):
    config = load_config(f"configs/{stage}.py:{size}")
    assert config.model.name == f"sam2.1_hiera_{size}" and config.model.dtype == "bfloat16"
    assert config.model.image_size == config.data.image_size == 1024
    assert config.model.drop_path_rate == {"tiny": 0.1, "small": 0.1, "base_plus": 0.2, "large": 0.3}[size]
    assert config.steps == {"pretrain": 90_000, "full": 150_000, "long_clips": 50_000}[stage]
    assert all(entry.batch_size == 256 for entry in config.data.entries)
    assert not config.location_aware_initialization
    optimizer = config.optimizer
    assert optimizer.layer_decay == {"tiny": 0.8, "small": 0.8, "base_plus": 0.9, "large": 0.925}[size]
    assert (optimizer.beta1, optimizer.beta2, optimizer.weight_decay, optimizer.clip_norm) == (0.9, 0.999, 0.1, 0.1)
    assert (config.loss.focal, config.loss.dice, config.loss.iou, config.loss.occlusion) == (20, 1, 1, 1)
    assert config.user.clicks == 7 and config.user.truth_probability == 0.1

    groups = parameter_groups(SAM2(config.model), optimizer)
    rates = {name: groups[name].learning_rate for name in ("image_encoder.neck.convs.0.conv.bias", "no_mem_embed")}
    expected = {"pretrain": (4e-4, 4e-4), "full": (6e-5, 3e-4), "long_clips": (3e-5, 1.5e-4)}[stage]
    assert tuple(rates.values()) == expected
    frozen = {name for name, group in groups.items() if not group.trained and name.startswith("image_encoder.")}
    assert frozen == ({n for n in groups if n.startswith("image_encoder.")} if stage == "long_clips" else set())


def test_pictures_and_videos_are_cut_and_mixed_as_in_the_paper():
    pretrain, full = (load_config(f"configs/{stage}.py:tiny") for stage in ("pretrain", "full"))
    (pictures,) = pretrain.data.entries
    assert (pictures.clip.frames, pictures.clip.objects, pictures.clip.largest_share) == (1, 64, 0.9)
    assert pictures.augmentation.flip == 0.5 and pictures.augmentation.degrees == 0
    assert not pretrain.model.has_memory and full.model.has_memory
    assert [entry.weight for entry in full.data.entries] == [15.5, 49.5, 9.4, 9.2, 1.3]
    assert "train[:10%]" in full.data.entries[0].source
    for entry in full.data.entries[1:]:
        assert (entry.clip.frames, entry.clip.objects, entry.clip.reverse) == (8, 3, 0.5)
        assert (entry.augmentation.mosaic, entry.augmentation.degrees, entry.augmentation.shear) == (0.1, 25, 20)
    entries = load_config("configs/long_clips.py:tiny").data.entries
    assert [entry.clip.frames for entry in entries] == [1, 16, 16, 16, 16]
    assert [entry.clip.most_edited_half for entry in entries] == [False, True, False, False, False]


def test_schedules_reach_where_they_should():
    pretrain, full = (load_config(f"configs/{stage}.py:large") for stage in ("pretrain", "full"))
    fraction = schedule(pretrain.optimizer, pretrain.steps)
    assert [round(float(fraction(step)), 6) for step in (500, 1000, 4000, 90_000)] == [0.5, 1, 0.5, 0]
    fraction = schedule(full.optimizer, full.steps)
    assert [round(float(fraction(step)), 6) for step in (3750, 7500, 150_000)] == [0.5, 1, 0.1]


def test_the_released_recipe_has_its_own_numbers():
    config = load_config("configs/mose_finetune.py")
    assert not config.location_aware_initialization
    (entry,) = config.data.entries
    assert (config.optimizer.learning_rate, config.optimizer.image_encoder_learning_rate) == (5e-6, 3e-6)
    assert (config.optimizer.warmup_steps, config.optimizer.final_fraction) == (0, 0.1)
    assert (config.model.drop_path_rate, entry.clip.reverse, entry.augmentation.mosaic) == (0.1, 0, 0)
    assert config.steps == 2 * 1307 // 8 * 40


@pytest.mark.parametrize(
    "experiment",
    ["finetune_own_folder.py:/data/mine", "overfit_one_clip.py"] + [f"nano.py:{stage}" for stage in nano.STAGES],
)
def test_other_experiments_are_configs_too(experiment):
    config = load_config(f"configs/{experiment}")
    # What is trained from nothing, and is small, needs it.
    assert config.location_aware_initialization == (not experiment.startswith("finetune"))
    check(config, make_mesh(MeshConfig(), jax.devices()[:1]))
    assert config.model.image_size == config.data.image_size


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "configs").glob("*.py")), ids=lambda path: path.stem
)
def test_what_a_config_refers_to_exists(path):
    """Names of modules, and of what is in them, between single backticks."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Module | ast.FunctionDef)]
    text = "\n".join(ast.get_docstring(node) or "" for node in nodes)
    for name in re.findall(r"(?<!`)`((?:data|train|sam2_jax|configs)\.[\w.]+)`(?!`)", text):
        pkgutil.resolve_name(name)
