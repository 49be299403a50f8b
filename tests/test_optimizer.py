# SPDX-License-Identifier: Apache-2.0
"""Parameters are grouped, clipped and stepped as by the published optimizer; schedules have the paper's values."""

import dataclasses
import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizer_cases import STEPPED, STEPPED_FACTOR, WHERE, gradient
from rule_weights import draw
from small import small_model

from sam2_jax.config import PUBLISHED
from sam2_jax.model import SAM2
from train.optimizer import OptimizerConfig, join, make_optimizer, parameter_groups, schedule, split

with gzip.open(Path(__file__).parent / "recorded/optimizer.json.gz") as file:
    RECORDED = json.load(file)
STEPS = 1000
FINE_TUNING = OptimizerConfig()  # the released recipe


@pytest.mark.parametrize("name", RECORDED)
def test_groups_are_the_published_ones(name):
    groups = parameter_groups(SAM2(PUBLISHED[name]), FINE_TUNING)
    fraction = schedule(FINE_TUNING, STEPS)
    recorded = RECORDED[name]["groups"]
    # A constant of the network is a buffer there, and so has no group.
    assert groups.keys() - recorded.keys() == {"sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"}
    for parameter, (weight_decay, *rates) in recorded.items():
        group = groups[parameter]
        assert group.weight_decay == weight_decay, parameter
        ours = [group.learning_rate * float(fraction(where * STEPS)) for where in WHERE]
        np.testing.assert_allclose(ours, rates, rtol=1e-5, err_msg=parameter)
    still = {name for name, group in groups.items() if not group.trained}
    assert still == {"sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "no_mem_pos_enc"}


def test_three_steps_are_those_of_the_published_optimizer():
    recorded = RECORDED["sam2.1_hiera_tiny"]
    config = dataclasses.replace(
        FINE_TUNING,
        learning_rate=STEPPED_FACTOR * FINE_TUNING.learning_rate,
        image_encoder_learning_rate=STEPPED_FACTOR * FINE_TUNING.image_encoder_learning_rate,
    )
    groups = parameter_groups(SAM2(PUBLISHED["sam2.1_hiera_tiny"]), config)
    optimizer = make_optimizer(config, 4, {name: groups[name] for name in STEPPED})  # steps 0, 1, 2 at WHERE
    params = first = {name: jnp.asarray(draw(name, recorded["shapes"][name])) for name in STEPPED}
    state = optimizer.init(params)
    for step in range(3):
        gradients = {name: jnp.asarray(gradient(name, params[name].shape, step)) for name in params}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for name in STEPPED:
            change = np.float64(params[name]) - np.float64(first[name])
            dot = np.sum(change * draw("dot/" + name, change.shape))
            np.testing.assert_allclose(dot, recorded["steps"][name][step], rtol=1e-4, atol=1e-6, err_msg=name)


def test_schedules_have_the_papers_values():
    pretraining = OptimizerConfig(schedule="reciprocal_sqrt", warmup_steps=1000, cooldown_steps=5000, timescale=1000)
    fraction = schedule(pretraining, 90_000)
    expected = {0: 0, 500: 0.5, 1000: 1, 4000: 0.5, 16_000: 0.25, 85_000: 85**-0.5, 87_500: 0.5 * 87.5**-0.5, 90_000: 0}
    for step, value in expected.items():
        np.testing.assert_allclose(fraction(step), value, rtol=1e-5, atol=1e-7, err_msg=step)
    full = OptimizerConfig(schedule="cosine", warmup_steps=7500, final_fraction=0.1)
    fraction = schedule(full, 150_000)
    for step, value in {0: 0, 3750: 0.5, 7500: 1, 78_750: 0.55, 150_000: 0.1, 200_000: 0.1}.items():
        np.testing.assert_allclose(fraction(step), value, rtol=1e-5, atol=1e-7, err_msg=step)


def test_frozen_parameters_keep_their_values_and_have_no_state():
    model, params = small_model()
    config = OptimizerConfig(frozen=("image_encoder.*",))
    groups = parameter_groups(model, config)
    trained, still = split(model, params, groups)
    assert not any(name.startswith("image_encoder.") for name in trained)
    assert jax.tree.all(jax.tree.map(np.array_equal, join(model, trained, still), params))
    state = make_optimizer(config, STEPS, groups).init(trained)
    held = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert sum(leaf.size for leaf in held) == 2 * sum(leaf.size for leaf in trained.values())


def test_muon_steps_equally_far_in_all_directions_of_a_matrix_and_leaves_the_rest_to_adam():
    matrices = {
        "memory_attention.layers.0.linear1.weight": (24, 48),
        "memory_attention.layers.1.linear1.weight": (24, 48),
        "memory_encoder.mask_downsampler.encoder.6.weight": (3, 3, 4, 32),  # a convolution, 36 to 32
    }
    others = {
        "memory_attention.layers.0.linear1.bias": (48,),
        "maskmem_tpos_enc": (7, 1, 1, 64),
        "sam_mask_decoder.mask_tokens.weight": (4, 128),
        "sam_mask_decoder.iou_prediction_head.layers.2.weight": (128, 4),
        "memory_encoder.fuser.layers.0.dwconv.weight": (7, 7, 1, 128),
    }
    shapes = matrices | others
    config = OptimizerConfig(learning_rate=1.0, schedule="constant", weight_decay=0.0)
    groups = parameter_groups(SAM2(PUBLISHED["sam2.1_hiera_tiny"]), config)
    groups = {name: groups[name] for name in shapes}
    params = {name: jnp.zeros(shape) for name, shape in shapes.items()}

    def step(kind, names=tuple(shapes)):
        theirs = {name: groups[name] for name in names}
        optimizer = make_optimizer(dataclasses.replace(config, matrices=kind), STEPS, theirs)
        gradients = {name: jnp.asarray(gradient(name, shapes[name], 0)) for name in names}
        some = {name: params[name] for name in names}
        return optimizer.update(gradients, optimizer.init(some), some)[0]

    adam, muon = step("adam"), step("muon")
    for name in others:
        np.testing.assert_array_equal(muon[name], adam[name], err_msg=name)
    for name, shape in matrices.items():
        singular = np.linalg.svd(np.reshape(muon[name], (-1, shape[-1])), compute_uv=False)
        assert singular.max() < 2 * singular.min(), name
        assert 0.1 < np.sqrt(np.mean(np.square(muon[name]))) < 0.3, name  # of a thousand steps of Adam: 0.2 to 0.4
        assert np.vdot(muon[name], gradient(name, shape, 0)) < 0, name
        # What else there is of its shape makes no difference, but for the length of the whole gradient.
        np.testing.assert_allclose(muon[name], step("muon", [name])[name], atol=1e-4, err_msg=name)


def test_a_pattern_that_freezes_nothing_is_refused():
    model, _ = small_model()
    with pytest.raises(ValueError, match=r"'image_encoder\.blocks\.\*', which matches no parameter"):
        parameter_groups(model, OptimizerConfig(frozen=("image_encoder.blocks.*",)))
    with pytest.raises(ValueError, match="leaves nothing to train"):
        parameter_groups(model, OptimizerConfig(frozen=("*",)))


def test_numbers_out_of_range_are_refused():
    refused = {"learning_rate": 0.0, "clip_norm": -1.0, "warmup_steps": -1, "schedule": "linear", "matrices": "sgd"}
    for name, value in refused.items():
        with pytest.raises(ValueError, match=f"OptimizerConfig.{name} is "):
            OptimizerConfig(**{name: value})
