# SPDX-License-Identifier: Apache-2.0
"""Some objects of a clip that are carried together: what was prompted of them, and what the latest pass gave.

In: predictions on prompted frames, and passes. Out: the bank that a pass begins with, and what is remembered of each
object before a frame of its own.
"""

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import memory_bank
from sam2_jax.config import SAM2Config
from sam2_jax.evaluation.clips import NEVER
from sam2_jax.evaluation.encoded_clip import FRAMES_AT_ONCE
from sam2_jax.evaluation.steps import Passed
from sam2_jax.memory_bank import EMPTY, MemoryBank, empty_memory, slots_read
from sam2_jax.predictors.prompts import bucket
from sam2_jax.types import ABSENT, MaskPrediction

_ROWS = (1, 2, 3, 4, 6, 8)  # of the arrays; each row more takes its time
OBJECTS_AT_ONCE = _ROWS[-1]
_LATE = 2**30  # the first frame of what never begins


class ObjectGroup:
    """O objects, in arrays of as many rows or a few more.

    Attributes:
        objects: their places in the clip.
        rows: of the arrays.
        starts: (rows,) int32 the first frame of each.
        bank: (1, rows, ...) what was prompted.
        shown: by (frame, row), the logits (S/4, S/4) that the user made there by prompts.
        prompted: by object, the frames that were prompted.
        paused: by object, the frames where the latest pass was paused.
        passed: by chunk, what the latest pass gave, for clicks that follow; empty before the first.
    """

    def __init__(self, config: SAM2Config, objects: slice, starts: np.ndarray, length: int):
        self.objects, self.rows = objects, next(rows for rows in _ROWS if rows >= len(starts))
        self.starts = np.full(self.rows, _LATE, np.int32)
        self.starts[: len(starts)] = starts
        self.bank = empty_memory(config, 1, self.rows, length=length)
        self.shown: dict[tuple[int, int], jax.Array] = {}
        self.prompted: list[list[int]] = [[] for _ in starts]
        self.paused: list[list[int]] = [[] for _ in starts]
        self.passed: dict[int, Passed] = {}
        self._config = config

    def __len__(self) -> int:
        return len(self.prompted)

    def take(self, frames: np.ndarray, prediction: MaskPrediction, maps: jax.Array) -> None:
        """Remembers predictions (1, rows, ...) that the user made on frames (O,), `NEVER` where nothing."""
        which, tags = np.zeros((1, self.rows), bool), np.full((1, self.rows), EMPTY, np.int32)
        which[0, : len(frames)] = frames != NEVER
        tags[0, : len(frames)] = frames
        for row in np.flatnonzero(which[0]):
            self.shown[int(frames[row]), int(row)] = prediction.logits[0, row]
            self.prompted[row].append(int(frames[row]))
        bank = self.bank_for(max(len(set(prompted)) for prompted in self.prompted))
        self.bank = _write(self._config, bank, tags, maps, prediction.pointer, which, which)

    def bank_for(self, prompted_frames: int) -> MemoryBank:
        """What was prompted, with room for so many frames of each object."""
        bank, there = self.bank, self.bank.prompted_frames.shape[2]
        slots = bucket(prompted_frames)
        if slots <= there:
            return bank
        more = empty_memory(self._config, 1, self.rows, slots - there)
        names = ("prompted_maps", "prompted_pointers", "prompted_frames")
        return bank.replace(**{n: jnp.concatenate([getattr(bank, n), getattr(more, n)], axis=2) for n in names})

    def before(self, frames: np.ndarray) -> tuple[MemoryBank, jax.Array]:
        """The bank before a frame (O,) of each object, as the latest pass had it, and the logits that were seen there.

        Returns:
            (1, rows, ...) and (rows, S/4, S/4).
        """
        config, bank = self._config, self.bank
        map_tags = np.full(bank.recent_frames.shape, EMPTY, np.int32)
        pointer_tags = np.full(bank.recent_pointer_frames.shape, EMPTY, np.int32)
        maps = [[bank.recent_maps[0, 0, 0]] * map_tags.shape[2] for _ in range(self.rows)]
        vectors = [[bank.recent_pointers[0, 0, 0]] * pointer_tags.shape[2] for _ in range(self.rows)]
        seen = [jnp.zeros((config.mask_size, config.mask_size))] * self.rows
        for row, frame in enumerate(map(int, frames)):
            seen[row] = self._seen(row, frame)
            map_slots, pointer_slots = slots_read(config, frame)
            for earlier, slot in pointer_slots:
                if self._was_tracked(row, earlier):
                    vectors[row][slot] = self._pick("pointer", earlier, row)
                    pointer_tags[0, row, slot] = earlier
            for earlier, slot in map_slots:
                if self._was_tracked(row, earlier):
                    maps[row][slot] = self._pick("maps", earlier, row)
                    map_tags[0, row, slot] = earlier
        memory = bank.replace(
            recent_maps=_stack(maps)[None],
            recent_frames=map_tags,
            recent_pointers=_stack(vectors)[None],
            recent_pointer_frames=pointer_tags,
        )
        return memory, jnp.stack(seen)

    def _was_tracked(self, row: int, frame: int) -> bool:
        return frame > self.starts[row] and frame not in self.prompted[row]

    def _seen(self, row: int, frame: int) -> jax.Array:
        if (frame, row) in self.shown:
            return self.shown[frame, row]
        if frame < self.starts[row]:
            return jnp.full((self._config.mask_size,) * 2, ABSENT)
        return self._pick("logits", frame, row)

    def _pick(self, field: str, frame: int, row: int) -> jax.Array:
        passed = self.passed[frame // FRAMES_AT_ONCE]
        values = passed.maps if field == "maps" else getattr(passed.prediction, field)
        return _take(values, frame % FRAMES_AT_ONCE, row)


_write = jax.jit(memory_bank.write, static_argnums=0)


@jax.jit
def _take(values: jax.Array, frame: int, row: int) -> jax.Array:
    return values[frame, row]


def _stack(rows: list[list[jax.Array]]) -> jax.Array:
    return jnp.stack([jnp.stack(row) for row in rows])
