# SPDX-License-Identifier: Apache-2.0
"""One step of training: the loss of a batch, its gradients, and the state after them, as one compiled function.

In: a `TrainState`, a batch, the run's seed. Out: the next `TrainState`, in the place of the old one, and metrics.
Every draw comes from (seed, step), so a run that is restarted from a step goes on as if it had never stopped.
"""

from collections.abc import Callable, Mapping

import einops
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from sam2_jax.model import SAM2
from sam2_jax.target import compiling_for
from train.config import TrainConfig
from train.losses import clip_loss
from train.optimizer import join, make_optimizer, parameter_groups, schedule, split
from train.prompts import draw_decisions
from train.sharding import batch_sharding, parameter_shardings, replicated
from train.state import TrainState, abstract_state

TrainStep = Callable[[TrainState, Mapping, jax.Array], tuple[TrainState, dict]]


def make_train_step(model: SAM2, config: TrainConfig, mesh: Mesh) -> TrainStep:
    """``step(state, batch, seed) -> (state, metrics)``, compiled at its first call for each shape of batch.

    The state that comes in is used up: its memory holds the one that comes out. A batch has the ``frames``, ``masks``,
    ``valid`` and ``colour`` of `data.examples.empty_batch`, divided over the mesh; metrics are () float32.
    """
    groups = parameter_groups(model, config.optimizer)
    optimizer = make_optimizer(config.optimizer, config.steps, groups)
    fraction = schedule(config.optimizer, config.steps)
    whole = replicated(mesh)
    states = parameter_shardings(mesh, abstract_state(model, config.optimizer, config.steps))

    def train_step(state: TrainState, batch: Mapping, seed: jax.Array) -> tuple[TrainState, dict]:
        trained, still = split(model, state.params, groups)
        of_user, of_model = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step))
        decisions = draw_decisions(of_user, batch["frames"].shape[1], config.user)

        def loss(trained: dict, part: Mapping, key: jax.Array) -> tuple[jax.Array, dict]:
            params = join(model, trained, still)
            return clip_loss(model, params, part, decisions, key, config.user, config.loss, config.rematerialise)

        # Kernels, which the compiler cannot divide, divide their rows over the mesh that is set.
        with compiling_for(mesh=mesh.abstract_mesh, precision=model.config.precision):
            gradients, metrics = _gradients(loss, trained, batch, of_model, config.optimizer.microbatches)
        updates, opt_state = optimizer.update(gradients, state.opt_state, trained)
        params = join(model, optax.apply_updates(trained, updates), still)
        rates = {"learning_rate": config.optimizer.learning_rate * fraction(state.step)}
        return TrainState(state.step + 1, params, opt_state), metrics | _gradient_norms(gradients) | rates

    return jax.jit(
        train_step,
        in_shardings=(states, batch_sharding(mesh), whole),
        out_shardings=(states, whole),
        donate_argnums=0,
    )


def _gradients(loss: Callable, trained: dict, batch: Mapping, key: jax.Array, parts: int) -> tuple[dict, dict]:
    """Gradients and metrics of a batch, taken in so many parts.

    The parts are a scan inside the step, and not steps of their own (as with `optax.MultiSteps`): what a step is does
    not depend on the memory at hand, schedules and checkpoints count whole batches, and a part weighs as much as it has
    objects, which makes the sum that of the whole batch.
    """
    value_and_grad = jax.value_and_grad(loss, has_aux=True)
    if parts == 1:
        (_, metrics), gradients = value_and_grad(trained, batch, key)
        return gradients, metrics
    # The clips of a part come from all devices, so that none move.
    batch = jax.tree.map(lambda x: einops.rearrange(x, "(b p) ... -> p b ...", p=parts), dict(batch))
    objects = jnp.maximum(batch["valid"].sum((1, 2)), 1)

    def add(total, part):
        batch, key, share = part
        (_, metrics), gradients = value_and_grad(trained, batch, key)
        return jax.tree.map(lambda sum_, x: sum_ + share * x, total, (gradients, metrics)), None

    first = jax.tree.map(lambda x: x[0], batch)
    (_, metrics), gradients = jax.eval_shape(value_and_grad, trained, first, key)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (gradients, metrics))
    return jax.lax.scan(add, nothing, (batch, jax.random.split(key, parts), objects / objects.sum()))[0]


def _gradient_norms(gradients: dict) -> dict:
    """The length of the whole gradient, before clipping, and of the part of it in each box of the model."""
    boxes = {}
    for name, gradient in gradients.items():
        boxes.setdefault(name.partition(".")[0] if "." in name else "embeddings", []).append(gradient)
    norms = {f"gradient_norm/{box}": optax.global_norm(parts) for box, parts in boxes.items()}
    return {"gradient_norm": optax.global_norm(gradients)} | norms
