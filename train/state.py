# SPDX-License-Identifier: Apache-2.0
"""All that a run knows beside its config and its data.

In: parameters and an `OptimizerConfig`. Out: a `TrainState`, or its shapes.
"""

import jax
import jax.numpy as jnp
import optax
from flax import struct

from sam2_jax.model import SAM2, abstract_params
from train.optimizer import OptimizerConfig, make_optimizer, parameter_groups, split


@struct.dataclass
class TrainState:
    """What a step changes.

    Attributes:
        step: () int32, how many steps are done.
        params: the model's parameters, float32.
        opt_state: the optimizer's state, of the trained ones among them by published name.
    """

    step: jax.Array
    params: dict
    opt_state: optax.OptState


def new_state(model: SAM2, params: dict, config: OptimizerConfig, steps: int) -> TrainState:
    """The state before the first of so many steps."""
    groups = parameter_groups(model, config)
    trained, _ = split(model, params, groups)
    optimizer = make_optimizer(config, steps, groups)
    return TrainState(step=jnp.zeros((), jnp.int32), params=params, opt_state=optimizer.init(trained))


def abstract_state(model: SAM2, config: OptimizerConfig, steps: int) -> TrainState:
    """Its shapes and types."""
    return jax.eval_shape(lambda params: new_state(model, params, config, steps), abstract_params(model))
