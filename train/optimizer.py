# SPDX-License-Identifier: Apache-2.0
"""How weights change: AdamW with the published groups of parameters, clipping, and the schedules of Table 12; or Muon.

In: an `OptimizerConfig` and a model. Out: for every parameter its `Group`, and an optax transformation over a flat
dict of those that are trained. Sections D.2.1 and D.2.2.
"""

import dataclasses
import fnmatch
import math
import re

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from flax import traverse_util

from sam2_jax.checkpoints.names import published_names
from sam2_jax.model import SAM2

SCHEDULES = ("constant", "cosine", "reciprocal_sqrt")
MATRICES = ("adam", "muon")
IMAGE_ENCODER = "image_encoder."
_TRUNK = "image_encoder.trunk."
# The Fourier matrix is a constant of the published network; `no_mem_pos_enc` is read by nothing.
_NEVER_TRAINED = ("sam_prompt_encoder.pe_layer.*", "no_mem_pos_enc")
# The published groups spare torch's own LayerNorm from weight decay, but not the hand-written LayerNorm2d, which the
# memory encoder and the two sequences of convolutions have.
_NORM = re.compile(r"(?!memory_encoder\.)(.+\.)?norm(\d|_final_attn)?\.weight")
# Muon is for what maps many values to many. A token, an embedding or the last layer of a small head has a side that is
# no wider than this; the filters of a depthwise convolution map no channel to another.
_NARROW = 16
_ADAMS_SIZE = 0.2  # the root mean square of Adam's steps, by experience (Liu et al., 2025)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and all that rules its steps.

    Attributes:
        learning_rate: the highest, of everything but the image encoder.
        image_encoder_learning_rate: of the image encoder; None for the same.
        schedule: `SCHEDULES`; cosine ends at `final_fraction`, reciprocal square root halves by four `timescale`.
        warmup_steps: the rate rises from zero over so many.
        cooldown_steps: it falls to zero over the last so many.
        layer_decay: a block of the image encoder's trunk has this fraction of the rate of the block after it.
        matrices: how the weights of layers are scaled to steps: ``adam``, as all else and as published; or ``muon``
            (Jordan et al., 2024), whose steps go equally far in all directions and are about as large as Adam's; for
            models that begin with nothing.
        frozen: globs over published names, such as ``image_encoder.*``; what matches keeps its values.
        microbatches: a step takes its batch in so many parts, one after the other, to save memory.
    """

    learning_rate: float = 5e-6
    image_encoder_learning_rate: float | None = 3e-6
    schedule: str = "cosine"
    warmup_steps: int = 0
    cooldown_steps: int = 0
    timescale: int = 1000
    final_fraction: float = 0.1
    layer_decay: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.1
    clip_norm: float = 0.1
    matrices: str = "adam"
    frozen: tuple[str, ...] = ()
    microbatches: int = 1

    def __post_init__(self):
        positive = {"learning_rate", "timescale", "layer_decay", "clip_norm", "microbatches"}
        for name in sorted(positive | {"warmup_steps", "cooldown_steps", "weight_decay", "final_fraction"}):
            value = getattr(self, name)
            if value < 0 or (name in positive and value == 0):
                raise ValueError(f"OptimizerConfig.{name} is {value!r}; expected a positive number.")
        for name, choices in {"schedule": SCHEDULES, "matrices": MATRICES}.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"OptimizerConfig.{name} is {value!r}; expected one of {', '.join(choices)}.")


@dataclasses.dataclass(frozen=True)
class Group:
    """How one parameter is trained.

    Attributes:
        learning_rate: the highest it has.
        weight_decay: how much of it is taken away each step, times its learning rate.
        trained: False for what keeps its value.
    """

    learning_rate: float
    weight_decay: float
    trained: bool


def parameter_groups(model: SAM2, config: OptimizerConfig) -> dict[str, Group]:
    """Every parameter's `Group`, by its published name.

    Raises:
        ValueError: a pattern of `frozen` matches no parameter, or all are frozen.
    """
    names = list(published_names(model))
    for pattern in config.frozen:
        if not fnmatch.filter(names, pattern):
            raise ValueError(f"OptimizerConfig.frozen has {pattern!r}, which matches no parameter of the model.")
    still = (*_NEVER_TRAINED, *config.frozen)
    groups = {
        name: Group(
            learning_rate=_base_rate(name, config) * _layer_scale(name, sum(model.config.stages), config.layer_decay),
            weight_decay=0.0 if "bias" in name or _NORM.fullmatch(name) else config.weight_decay,
            trained=not any(fnmatch.fnmatchcase(name, pattern) for pattern in still),
        )
        for name in names
    }
    if not any(group.trained for group in groups.values()):
        raise ValueError(f"OptimizerConfig.frozen is {config.frozen!r}, which leaves nothing to train.")
    return groups


def _base_rate(name: str, config: OptimizerConfig) -> float:
    if name.startswith(IMAGE_ENCODER) and config.image_encoder_learning_rate is not None:
        return config.image_encoder_learning_rate
    return config.learning_rate


def _layer_scale(name: str, depth: int, decay: float) -> float:
    """The published layer decay: the patches are layer 0, block i is layer i + 1, position embeddings are exempt."""
    if not name.startswith(_TRUNK) or "pos_embed" in name:
        return 1.0
    block = re.match(r"blocks\.(\d+)\.", name.removeprefix(_TRUNK))
    layer = int(block[1]) + 1 if block else 0
    return decay ** (depth + 1 - layer)


def split(model: SAM2, params: dict, groups: dict[str, Group]) -> tuple[dict, dict]:
    """The trained and the still parameters, each a flat dict by published name; `join` puts them together."""
    flat = traverse_util.flatten_dict(params)
    paths = {name: entry.path for name, entry in published_names(model).items()}
    trained = {name: flat[path] for name, path in paths.items() if groups[name].trained}
    return trained, {name: flat[path] for name, path in paths.items() if not groups[name].trained}


def join(model: SAM2, trained: dict, still: dict) -> dict:
    """The nested parameters of the two flat dicts that `split` makes."""
    both = {**trained, **still}
    return traverse_util.unflatten_dict({entry.path: both[name] for name, entry in published_names(model).items()})


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Step, counted from 0, to the fraction of its highest learning rate that every parameter has in it."""
    warmup, cooldown = config.warmup_steps, config.cooldown_steps

    def fraction(step: jax.Array | int) -> jax.Array:
        step = jnp.asarray(step, jnp.float32)
        since_warmup = jnp.maximum(step - warmup, 0)
        value = jnp.float32(1)
        if config.schedule == "cosine":
            wave = (1 + jnp.cos(jnp.pi * jnp.minimum(since_warmup / max(steps - warmup, 1), 1))) / 2
            value = config.final_fraction + (1 - config.final_fraction) * wave
        elif config.schedule == "reciprocal_sqrt":
            value = jax.lax.rsqrt(1 + since_warmup / config.timescale)
        if warmup:
            value *= jnp.minimum(step / warmup, 1)
        if cooldown:
            value *= jnp.clip((steps - step) / cooldown, 0, 1)
        return value

    return fraction


def make_optimizer(config: OptimizerConfig, steps: int, groups: dict[str, Group]) -> optax.GradientTransformation:
    """The transformation of gradients into updates, over a flat dict of the trained parameters by published name.

    Clipping sees all of them as one vector. Weight decay is decoupled and, as in PyTorch, grows with the parameter's
    own learning rate.
    """
    groups = {name: group for name, group in groups.items() if group.trained}

    def at_own_rate(updates: dict, _) -> dict:
        return {name: -groups[name].learning_rate * update for name, update in updates.items()}

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        _scale_by_adam_or_muon(config),
        optax.add_decayed_weights(config.weight_decay, {name: bool(g.weight_decay) for name, g in groups.items()}),
        optax.stateless(at_own_rate),
        optax.scale_by_schedule(schedule(config, steps)),
    )


def _scale_by_adam_or_muon(config: OptimizerConfig) -> optax.GradientTransformation:
    adam = optax.scale_by_adam(config.beta1, config.beta2, eps=1e-8)
    if config.matrices == "adam":
        return adam
    muon = optax.chain(
        optax.contrib.scale_by_muon(weight_dimension_numbers=_stacks_of_matrices),
        optax.stateless(_as_large_as_adams),
    )

    def who(params: dict) -> dict:
        return {name: "muon" if _is_matrix(name, leaf.shape) else "adam" for name, leaf in params.items()}

    return optax.partition({"adam": adam, "muon": _in_stacks(muon)}, who)


def _is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    return name.endswith(".weight") and len(shape) > 1 and shape[-2] > 1 and min(_sides(shape)) > _NARROW


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Of the matrix that a weight is: its last axis, and all others as one."""
    return math.prod(shape[:-1]), shape[-1]


def _in_stacks(one_by_one: optax.GradientTransformation) -> optax.GradientTransformation:
    """A transformation of single matrices' gradients, for all of one shape at once: two dozen products, not a hundred.

    Its state is by shape, of stacks (N, rows, columns). It is not told of the parameters.
    """

    def init(params: dict):
        return one_by_one.init(_stack(params))

    def update(updates: dict, state, _=None):
        stacks, state = one_by_one.update(_stack(updates), state)
        return _unstack(stacks, updates), state

    return optax.GradientTransformation(init, update)


def _alike(matrices: dict) -> dict[str, list[str]]:
    """Which have one shape, by a name for it; what is masked has none."""
    names = {}
    for name, matrix in matrices.items():
        if not isinstance(matrix, optax.MaskedNode):
            rows, columns = _sides(matrix.shape)
            names.setdefault(f"{rows}x{columns}", []).append(name)
    return names


def _stack(matrices: dict) -> dict:
    return {
        shape: jnp.stack([matrices[name].reshape(_sides(matrices[name].shape)) for name in names])
        for shape, names in _alike(matrices).items()
    }


def _unstack(stacks: dict, like: dict) -> dict:
    matrices = dict(like)
    for shape, names in _alike(like).items():
        for name, matrix in zip(names, stacks[shape]):
            matrices[name] = matrix.reshape(like[name].shape)
    return matrices


def _stacks_of_matrices(stacks: dict) -> dict:
    return dict.fromkeys(stacks, optax.contrib.MuonDimensionNumbers(1, 2))


def _as_large_as_adams(stacks: dict, _) -> dict:
    return {shape: _ADAMS_SIZE * max(stack.shape[1:]) ** 0.5 * stack for shape, stack in stacks.items()}
