# SPDX-License-Identifier: Apache-2.0
"""TPUs that are not here: the devices of a topology, to compile for, and what one of them can do.

In: a topology such as ``v5e:4x4``, and how many slices of it there are. Out: the devices, which no array can be put on,
and a `Chip`.
"""

import importlib.metadata
import importlib.util
import os
import re

import jax
from jax.experimental import topologies

from train.chips import CHIPS, Chip

# The compiler is not to look for a TPU and its hosts, nor to mind that another process uses one, or compiles too.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_HOST_BOUNDS": "1,1,1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def open_topology(topology: str, slices: int = 1) -> tuple[list[jax.Device], Chip]:
    """The devices of a topology, and what each of them is; it is not JAX's backend, which becomes the CPU.

    Args:
        slices: how many of the topology there are, with only the data-center network between them.

    Raises:
        ValueError: there is no such topology, or no compiler for TPUs.
    """
    if slices < 1:
        raise ValueError(f"{slices} slices came; expected 1 or more.")
    name, _, size = topology.partition(":")
    if name not in CHIPS or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)+", size):
        raise ValueError(
            f"{topology!r} is no topology; expected one of {', '.join(CHIPS)}, a colon, and how many chips there are "
            "in each direction, such as v5e:4x4, v5p:2x2x1 or v6e:2x2."
        )
    _find_compiler()
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update(
        "jax_enable_compilation_cache", False
    )  # it cannot read back what is not for a device that is here
    chip, one = CHIPS[name], set(size) == {"1", "x"}
    options = {"chip_config_name": chip.layout, "num_slices": slices}
    options |= {"chips_per_host_bounds": (1, 1, 1)} if one else {}
    try:
        return topologies.get_topology_desc(topology, "tpu", **options).devices, chip
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(f"{topology!r} is no topology that the compiler knows: {_sentence(error)}") from None


def _find_compiler() -> None:
    install = f'pip install "jax[tpu]=={jax.__version__}"'
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(f"There is no compiler for TPUs here: libtpu is not installed. Install it by: {install}")
    wanted = re.search(r"libtpu==([\d.]+)\.\*", " ".join(importlib.metadata.requires("jax") or ()))
    found = importlib.metadata.version("libtpu")
    # With another version some topologies compile, and others fail inside the compiler.
    if wanted and not f"{found}.".startswith(f"{wanted[1]}."):
        raise ValueError(f"libtpu is {found}; expected {wanted[1]}.*, which is jax {jax.__version__}'s: {install}")


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0].partition(": ")[2].rstrip(".") + "."
