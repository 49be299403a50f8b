# SPDX-License-Identifier: Apache-2.0
"""A config says all of a run; what it cannot say is refused at once, in one sentence that names the nearest it can."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from tiny_run import get_config

from sam2_jax.config import change
from train.__main__ import load_config
from train.config import check, check_space
from train.evaluation import EvaluationConfig
from train.overrides import with_overrides
from train.sharding import MeshConfig, make_mesh

CONFIG = get_config("videos")


@pytest.mark.parametrize(
    ("text", "get", "value"),
    [
        ("steps=7", lambda c: c.steps, 7),
        ("optimizer.learning_rate=1e-4", lambda c: c.optimizer.learning_rate, 1e-4),
        ("optimizer.learning_rate=1", lambda c: c.optimizer.learning_rate, 1.0),
        ("optimizer.image_encoder_learning_rate=3e-6", lambda c: c.optimizer.image_encoder_learning_rate, 3e-6),
        ("optimizer.image_encoder_learning_rate=none", lambda c: c.optimizer.image_encoder_learning_rate, None),
        ("optimizer.frozen=image_encoder.*,memory_encoder.*", lambda c: c.optimizer.frozen[1], "memory_encoder.*"),
        ("optimizer.frozen=()", lambda c: c.optimizer.frozen, ()),
        ("model.stages=(1, 1, 2, 1)", lambda c: c.model.stages, (1, 1, 2, 1)),
        ("model.has_memory=false", lambda c: c.model.has_memory, False),
        ("init_from=/weights/a=b.pt", lambda c: c.init_from, "/weights/a=b.pt"),
        ("data.entries.0.batch_size=16", lambda c: c.data.entries[0].batch_size, 16),
        ("data.entries.0.clip.frames=4", lambda c: c.data.entries[0].clip.frames, 4),
        ("data.entries.0.source=/data/mose", lambda c: c.data.entries[0].source, "/data/mose"),
        ("data.on_error=skip", lambda c: c.data.on_error, "skip"),
    ],
)
def test_a_field_is_set_as_its_type_says(text, get, value):
    changed = get(with_overrides(CONFIG, [text]))
    assert changed == value and type(changed) is type(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stepps=7", "The config has no field 'stepps'; the nearest is 'steps'."),
        ("optimizer.lr=1", "The config has no field 'optimizer.lr'; the nearest is 'optimizer."),
        ("optimizer.warmup=1", "The config has no field 'optimizer.warmup'; the nearest is 'optimizer.warmup_steps'."),
        ("steps=many", "steps is a whole number, now 5, but 'many' came."),
        ("steps=1.5", "steps is a whole number, now 5, but '1.5' came."),
        ("optimizer.clip_norm=none", "optimizer.clip_norm is a number, now 1.0, but 'none' came."),
        ("model.has_memory=1", "model.has_memory is true or false, now True, but '1' came."),
        ("model.stages=1,2,x,4", "model.stages is "),
        ("data.on_error=stop", "data.on_error is "),
        ("optimizer=adam", "'optimizer' cannot be set as a whole; set a field of it, such as optimizer.learning_rate"),
        ("data.entries=x", "'data.entries' cannot be set as a whole; set a field of it, such as data.entries.0.source"),
        ("data.entries.3.weight=1", "'data.entries.3.weight' does not exist: data.entries has 1 entries, from 0."),
        ("steps.x=1", "'steps.x' does not exist: steps is 5, which has no fields."),
        ("steps", "--set takes NAME=VALUE, such as steps=100, but 'steps' came."),
        ("steps=0", "TrainConfig.steps is 0; expected 1 or more."),
        ("model.image_size=100", "SAM2Config.image_size is 100; expected a positive multiple of 32."),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(ValueError) as caught:
        with_overrides(CONFIG, [text])
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data.image_size=128", "model.image_size is 64 and data.image_size 128; expected the same."),
        ("optimizer.microbatches=3", "data.entries.0.batch_size is 8; expected a multiple of 3, which is"),
        ("model.has_memory=false", "data.entries.0 has clips of 2 frames, which a model without a memory"),
    ],
)
def test_what_does_not_fit_together_is_found_before_anything_is_compiled(text, sentence):
    with pytest.raises(ValueError) as caught:
        check(with_overrides(CONFIG, [text]), make_mesh(MeshConfig()))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("hosts", "each", "batch", "microbatches", "expected", "advice"),
    [
        (
            *(4, 8, 8, 1, 32),
            " No clip is divided: --set data.entries.0.batch_size=32 gives every device 1 of them, and each of the 4 "
            "hosts 8; 8 devices can train on the batch as it is, which is 1 of the hosts.",
        ),
        (
            *(1, 8, 1, 1, 8),
            " No clip is divided: --set data.entries.0.batch_size=8 gives every device 1 of them; 1 device can train "
            "on the batch as it is.",
        ),
        (
            *(2, 4, 8, 2, 16),
            " No clip is divided: --set data.entries.0.batch_size=16 gives every device 2 of them, and each of the 2 "
            "hosts 8; --set optimizer.microbatches=1 takes the batch as it is.",
        ),
        (2, 4, 12, 1, 8, ""),
    ],
    ids=["four hosts", "one clip", "parts", "no multiple"],
)
def test_fewer_clips_than_chips_are_refused_with_what_to_set(hosts, each, batch, microbatches, expected, advice):
    config = with_overrides(CONFIG, [f"data.entries.0.batch_size={batch}", f"optimizer.microbatches={microbatches}"])
    devices = np.array([SimpleNamespace(process_index=host) for host in range(hosts) for _ in range(each)])
    with pytest.raises(ValueError) as caught:
        check(config, SimpleNamespace(size=devices.size, devices=devices))
    assert str(caught.value) == (
        f"data.entries.0.batch_size is {batch}; expected a multiple of {expected}, which is {hosts * each} devices "
        f"times {microbatches} microbatches.{advice}"
    )


def test_a_model_without_a_memory_is_evaluated_on_pictures():
    pictures = get_config("pictures")
    config = dataclasses.replace(
        pictures, model=change(pictures.model, has_memory=False), evaluation=EvaluationConfig("synthetic", frames=2)
    )
    with pytest.raises(ValueError, match="evaluation has 2 frames and the prompt 'click'; expected 1 frame"):
        check(config, make_mesh(MeshConfig()))


def test_a_mesh_that_does_not_divide_the_devices_is_refused():
    devices = jax.device_count()
    with pytest.raises(ValueError, match=rf"mesh.data=-1 and mesh.fsdp={devices + 1} do not make up the {devices}"):
        make_mesh(MeshConfig(fsdp=devices + 1))


def test_a_disk_that_will_be_full_is_found_before_the_first_step(tmp_path):
    with pytest.raises(OSError, match=r"expected at least .* GB more for 3 checkpoints of"):
        check_space(tmp_path, 10**18, CONFIG.checkpoints)
    check_space(tmp_path, 1000, CONFIG.checkpoints)


def test_a_config_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a Python file"):
        load_config(str(tmp_path / "absent.py"))
    file = tmp_path / "empty.py"
    file.write_text("x = 1\n")
    with pytest.raises(ValueError, match="has no get_config"):
        load_config(str(file))
    file.write_text("def get_config():\n    return 1\n")
    with pytest.raises(ValueError, match="returned a int; expected a TrainConfig"):
        load_config(str(file))


def test_a_config_is_a_value():
    assert dataclasses.replace(CONFIG, steps=5) == CONFIG
