# SPDX-License-Identifier: Apache-2.0
"""What a program is compiled for: the kind of device, how many of them share its rows, and how exact products are.

In: the arguments of a public function. Out: while the function is traced, the `Target` of the devices that its arrays
are on, their mesh, and the precision that the model's config asks for. Nobody has to say where a program runs, and a
program can be traced for devices that are not here (`compiling_for`).
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.sharding import AbstractMesh, NamedSharding

_PLATFORMS = {"cuda": "gpu", "rocm": "gpu"}


@dataclasses.dataclass(frozen=True)
class Target:
    """The devices of a program.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        capability: the compute capability of an NVIDIA GPU, such as 9.0 for Hopper; 0 for all else.
        devices: over how many devices the rows of a batch are divided.
    """

    platform: str
    capability: float = 0.0
    devices: int = 1


# It is part of the key of JAX's caches, so that a function is traced anew for another target.
_target = jax.make_user_context(None)


def current_target() -> Target:
    """The target of the program that is being traced; without any, JAX's default device."""
    mesh = jax.sharding.get_abstract_mesh()
    target = _target.value or _of_mesh(mesh) or _of_device(_default_device())
    # Inside `jax.shard_map` a program is that of one device.
    alone = mesh.empty or mesh.are_all_axes_manual
    return dataclasses.replace(target, devices=1 if alone else mesh.size)


@contextlib.contextmanager
def compiling_for(target: Target | None = None, mesh: AbstractMesh | None = None, precision: str = "default"):
    """Traces for a target, over a mesh, with products of a precision; what is not given stays as it is.

    Args:
        precision: of float32 products, kernels included: ``default`` is the fastest (TF32 on GPUs, one bfloat16 pass on
            TPUs), ``high`` three bfloat16 passes or TF32, ``highest`` float32.
    """
    with contextlib.ExitStack() as stack:
        if target is not None:
            stack.enter_context(_target(target))
        if mesh is not None and not mesh.empty:
            stack.enter_context(jax.sharding.use_abstract_mesh(mesh))
        if precision != "default":
            stack.enter_context(jax.default_matmul_precision(precision))
        yield


class compiled:  # noqa: N801, it is a decorator
    """`jax.jit` for functions of (model, params, ...): the model is static, and the arrays say what to compile for.

    Args:
        static_argnames: arguments beside ``model`` that are static.
    """

    def __init__(self, function: Callable, static_argnames: tuple[str, ...] = ()):
        functools.update_wrapper(self, function)
        self.jitted = jax.jit(function, static_argnames=("model", *static_argnames))

    def __call__(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        with _compiling_for_arrays_of(model, args, kwargs):
            return self.jitted(model, *args, **kwargs)

    def lower(self, model: Any, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """As of `jax.jit`."""
        return self.trace(model, *args, **kwargs).lower()

    def trace(self, model: Any, *args: Any, **kwargs: Any) -> jax.stages.Traced:
        """As of `jax.jit`; shapes with shardings say where their arrays would be."""
        with _compiling_for_arrays_of(model, args, kwargs):
            return self.jitted.trace(model, *args, **kwargs)


def _compiling_for_arrays_of(model: Any, args: tuple, kwargs: dict) -> contextlib.AbstractContextManager:
    target, mesh = _where((*args, *kwargs.values()))
    return compiling_for(target, mesh, model.config.precision)


def _where(arguments: tuple) -> tuple[Target | None, AbstractMesh | None]:
    """The target and the mesh of the first arrays of arguments; nothing where the context has them already."""
    if _target.value is not None or not jax.sharding.get_abstract_mesh().empty:
        return None, None
    target = None
    for leaf in _first_leaves(arguments):
        mesh = _mesh_of(leaf)
        if mesh is not None:
            return None, mesh
        sharding = None if isinstance(leaf, jax.core.Tracer) else getattr(leaf, "sharding", None)
        if sharding is not None and target is None:
            target = _of_device(next(iter(sharding.device_set)))
    return target, None


def _first_leaves(arguments: tuple) -> Iterator[Any]:
    """One array of each argument: those of one tree are together."""
    for argument in arguments:
        while isinstance(argument, dict) and argument:  # a tree of parameters has hundreds of leaves
            argument = next(iter(argument.values()))
        yield from jax.tree.leaves(argument)[:1]


def _mesh_of(leaf: Any) -> AbstractMesh | None:
    if isinstance(leaf, jax.core.Tracer):
        mesh = jax.typeof(leaf).sharding.mesh
        return None if mesh.empty else mesh
    sharding = getattr(leaf, "sharding", None)
    return sharding.mesh.abstract_mesh if isinstance(sharding, NamedSharding) and sharding.mesh.size > 1 else None


def _of_mesh(mesh: AbstractMesh) -> Target | None:
    if mesh.empty or mesh.abstract_device is None:
        return None
    here = jax.devices()[0]
    platform = _PLATFORMS.get(mesh.abstract_device.platform, mesh.abstract_device.platform)
    return _of_device(here) if here.platform == platform else Target(platform)


def _default_device() -> jax.Device:
    default = jax.config.jax_default_device
    return default if isinstance(default, jax.Device) else jax.devices(default)[0]


@functools.cache
def _of_device(device: jax.Device) -> Target:
    capability = str(getattr(device, "compute_capability", ""))  # AMD's are names
    return Target(
        _PLATFORMS.get(device.platform, device.platform),
        float(capability) if capability.replace(".", "").isdecimal() else 0.0,
    )
