# SPDX-License-Identifier: Apache-2.0
"""What accelerators do at best, as their makers say: TPUs to compile for, and whatever a run finds itself on.

In: a name. Out: a `Chip`, or operations a second.
"""

import dataclasses

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """What one device has: a chip, or one of the two cores of a TPU7x.

    Attributes:
        memory: bytes of HBM that the compiler lets a program have; it keeps some of the chip's for itself.
        bandwidth: bytes of HBM a second, at best.
        speed: operations a second on bfloat16, at best.
        layout: how the compiler is told to see the chip.
    """

    memory: float
    bandwidth: float
    speed: float
    layout: str = "default"


CHIPS = {
    "v4": Chip(30.75 * _GIB, 1.23e12, 275e12, "megacore"),
    "v5e": Chip(15.75 * _GIB, 0.82e12, 197e12),
    "v5p": Chip(95.74 * _GIB, 2.76e12, 459e12),
    "v6e": Chip(31.25 * _GIB, 1.64e12, 918e12),
    "tpu7x": Chip(94.75 * _GIB, 3.69e12, 1153e12),
}
# `jax.Device.device_kind` of each.
_TPUS = {"TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5": "v5p", "TPU v6 lite": "v6e", "TPU7x": "tpu7x"}
# Words of a GPU's name, the more special first: operations a second on dense bfloat16.
_GPUS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200 NVL": 835e12,
    "H200": 989e12,
    "GB200": 2500e12,
    "B200": 2250e12,
}


def peak_speed(device_kind: str) -> float | None:
    """Operations a second on bfloat16 that a device does at best; None where that is not known, as of CPUs.

    Args:
        device_kind: `jax.Device.device_kind`.
    """
    if device_kind in _TPUS:
        return CHIPS[_TPUS[device_kind]].speed
    if "MIG" in device_kind:  # a part of a GPU
        return None
    return next((speed for words, speed in _GPUS.items() if words in device_kind), None)
