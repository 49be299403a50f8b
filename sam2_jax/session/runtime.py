# SPDX-License-Identifier: Apache-2.0
"""What the sessions of one predictor share: a model on its devices, a storage with its limits, and their settings."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from sam2_jax.buckets import bucket
from sam2_jax.memory_bank import forget_distance
from sam2_jax.model import SAM2
from sam2_jax.session.passes import Passes
from sam2_jax.session.storage import SessionLimits, Storage


class Runtime:
    """A model and what its sessions share.

    Args:
        model, params: as `sam2_jax.load` returns them.
        limits: of what all sessions keep.
        fill_hole_area: holes of at most so many pixels of a low-resolution mask are filled where a user sees it.
        clear_near_prompts: forget what was tracked near a frame when the user prompts it, and when a pass comes to it.
        sessions_at_once: up to so many sessions that are tracked at one time take their frames in one program.
        device: the device to run on; or a mesh, over which the objects are divided. Without it, where `params` are.
    """

    def __init__(
        self,
        model: SAM2,
        params: dict,
        limits: SessionLimits | None = None,
        fill_hole_area: int = 0,
        clear_near_prompts: bool = False,
        sessions_at_once: int = 1,
        device: jax.Device | Mesh | None = None,
    ):
        if sessions_at_once < 1:
            raise ValueError(f"sessions_at_once is {sessions_at_once}; expected 1 or more.")
        self.model, self.storage = model, Storage(limits or SessionLimits())
        self.fill_hole_area = fill_hole_area
        self.forget_distance = forget_distance(model.config) if clear_near_prompts else None
        self._devices = 1
        self.bank_sharding: jax.sharding.Sharding | None = None
        if isinstance(device, Mesh):
            # The compiler places what is computed; a mesh of explicit axes would want every reshape to say where.
            mesh = Mesh(device.devices, device.axis_names, axis_types=(AxisType.Auto,) * len(device.axis_names))
            self._devices, self.bank_sharding = mesh.size, NamedSharding(mesh, PartitionSpec(None, mesh.axis_names))
            device = NamedSharding(mesh, PartitionSpec())
        elif device is not None:
            self.bank_sharding = SingleDeviceSharding(device)
        self.params = params if device is None else jax.device_put(params, device)
        self.passes = Passes(model, self.params, sessions_at_once)

    def rows(self, objects: int) -> int:
        """The bucket of so many objects; every device of a mesh has as many."""
        return -(-bucket(objects) // self._devices) * self._devices
