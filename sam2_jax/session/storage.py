# SPDX-License-Identifier: Apache-2.0
"""Where sessions keep arrays: on the device, in host memory, in a scratch file, each up to a number of bytes.

In: arrays as they are computed. Out: the same arrays, bit for bit, from wherever they are. When a tier is full, the
arrays used longest ago move to the tier below. Sessions that share a `Storage` share its limits.
"""

import dataclasses
import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from typing import Any

import jax
import numpy as np

from sam2_jax import transfer


@dataclasses.dataclass(frozen=True)
class SessionLimits:
    """How much all sessions of one predictor may keep.

    Attributes:
        device_bytes: of spatial memories and encoded frames; spatial memories move to the host beyond it, and encoded
            frames are encoded again when they are needed. The session at work always has what the next frame needs.
        host_bytes: of results, mostly mask logits, and of what came from the device; beyond it they move to
            a scratch file.
        scratch_folder: where the scratch file is, the system's temporary folder without it; the file has no name there
            and is gone with the process.
        half_precision: keep mask logits as float16: half the bytes, and a relative error of at most 2**-11 (0.005 for
            logits within 10 of 0, where masks are decided). What is computed of them again has that error, too.
        frames: how many tracked frames of an object are kept; those tracked longest ago are forgotten beyond it, and
            have no mask until they are tracked again. All without it.
    """

    device_bytes: int | None = 4 << 30
    host_bytes: int | None = 4 << 30
    scratch_folder: str | os.PathLike | None = None
    half_precision: bool = False
    frames: int | None = None

    def __post_init__(self):
        for name in ("device_bytes", "host_bytes", "frames"):
            value, least = getattr(self, name), 1 if name == "frames" else 0
            if value is not None and value < least:
                raise ValueError(f"SessionLimits.{name} is {value}; expected {least} or more, or None for no limit.")


class Kept:
    """One value in a `Tier`. Its bytes are free again when nobody refers to it any more."""

    __slots__ = ("__weakref__", "_below", "_lock", "_stored", "_tier", "nbytes")

    def __init__(self, tier: "Tier", stored: Any, nbytes: int, below: "Tier | None"):
        self._tier, self._stored, self.nbytes, self._below = tier, stored, nbytes, below
        self._lock = tier.lock

    def get(self) -> Any:
        """The value; None once it was dropped."""
        with self._lock:
            if self._tier is None:
                return None
            self._tier.touch(self)
            return self._tier.read(self._stored)

    @property
    def on_device(self) -> bool:
        return isinstance(self._stored, jax.Array)

    def move_down(self) -> None:
        """Moves to the tier below, or is dropped where there is none."""
        with self._lock:
            tier, below, stored = self._tier, self._below, None
            if below is not None:
                stored = below.store(tier.read(self._stored))
            tier.release(self)
            self._tier, self._stored = below, stored
            if below is not None:
                self._below = below.below
                below.admit(self)

    def __del__(self):
        if self._tier is not None:
            self._tier.release(self)


class Tier:
    """Host memory, or another place with a limit.

    Args:
        limit: bytes, None for none.
        below: where values go that have no room.
    """

    def __init__(self, limit: int | None, below: "Tier | None" = None):
        self.limit, self.below, self.bytes = limit, below, 0
        self.lock = threading.RLock() if below is None else below.lock  # one for all tiers: values move between them
        self._oldest_first: OrderedDict[int, weakref.ref[Kept]] = OrderedDict()

    def keep(self, value: Any, droppable: bool = False) -> Kept:
        """Keeps a value.

        Args:
            droppable: it can be computed again, so it is dropped where it would move to the tier below.
        """
        nbytes = sum(leaf.nbytes for leaf in jax.tree.leaves(value))
        with self.lock:
            kept = Kept(self, self.store(value), nbytes, None if droppable else self.below)
            self.admit(kept)
        return kept

    def admit(self, kept: Kept) -> None:
        self._oldest_first[id(kept)] = weakref.ref(kept)
        self.bytes += kept.nbytes
        while self.limit is not None and self.bytes > self.limit and self._oldest_first:
            oldest = next(iter(self._oldest_first.values()))()
            if oldest is None:
                break  # its bytes are being released
            oldest.move_down()

    def touch(self, kept: Kept) -> None:
        self._oldest_first.move_to_end(id(kept))

    def release(self, kept: Kept) -> None:
        with self.lock:
            if self._oldest_first.pop(id(kept), None) is not None:
                self.bytes -= kept.nbytes
                self.discard(kept._stored, kept.nbytes)

    def store(self, value: Any) -> Any:
        """The form that a value has here."""
        return value

    def read(self, stored: Any) -> Any:
        return stored

    def discard(self, stored: Any, nbytes: int) -> None:
        """Frees what `store` took."""


class HostMemory(Tier):
    def store(self, value: Any) -> Any:
        return transfer.to_host(value)


class ScratchFile(Tier):
    """A file without a name, whose ranges are used again once they are free."""

    def __init__(self, folder: str | os.PathLike | None):
        super().__init__(limit=None)
        self._folder, self._file, self._end = folder, None, 0
        self._free: dict[int, list[int]] = {}  # offsets by size: most arrays of a session have one of a few sizes

    def store(self, value: np.ndarray) -> tuple[int, tuple[int, ...], np.dtype]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, prefix="sam2_jax_session_")  # noqa: SIM115
        same_size = self._free.get(value.nbytes)
        offset = same_size.pop() if same_size else self._end
        try:
            self._file.seek(offset)
            self._file.write(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, f"A session's scratch file could not be written: {error.strerror}") from error
        self._end = max(self._end, offset + value.nbytes)
        return offset, value.shape, value.dtype

    def read(self, stored: tuple[int, tuple[int, ...], np.dtype]) -> np.ndarray:
        offset, shape, dtype = stored
        value = np.empty(shape, dtype)
        self._file.seek(offset)
        self._file.readinto(value.reshape(-1).view(np.uint8).data)
        return value

    def discard(self, stored: tuple[int, tuple[int, ...], np.dtype], nbytes: int) -> None:
        self._free.setdefault(nbytes, []).append(stored[0])


class Storage:
    """The tiers that some sessions share."""

    def __init__(self, limits: SessionLimits):
        self.limits = limits
        self.scratch = ScratchFile(limits.scratch_folder)
        self.host = HostMemory(limits.host_bytes, self.scratch)
        self.device = Tier(limits.device_bytes, self.host)
