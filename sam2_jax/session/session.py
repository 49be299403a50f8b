# SPDX-License-Identifier: Apache-2.0
"""One video and the objects in it: prompted on any frame, tracked, rewound, corrected, tracked again.

In: prompts at the model's size. Out: `Result`s. Banks, features and spatial memories are on the device, in a `Storage`
that sessions share; results of every visited frame stay within reach.
"""

import itertools
from collections.abc import Hashable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import transfer
from sam2_jax.buckets import bucket
from sam2_jax.media.masks import remove_small_regions
from sam2_jax.memory_bank import MemoryBank, reach
from sam2_jax.session.frames import EncodedFrames, FrameSource
from sam2_jax.session.memory import gather_memory
from sam2_jax.session.objects import Part, Result, TrackedObject, result_of
from sam2_jax.session.passes import Pass
from sam2_jax.session.runtime import Runtime
from sam2_jax.tracking import predict_first, predict_with_memory, remember, take_masks
from sam2_jax.types import MaskPrediction, Prompts

_FRAMES_KEPT = 4  # encoded frames that stay at hand, for clicks that follow each other


class Session:
    """The state of one video.

    Args:
        source: of the frames.
        frames_at_once, chunks_kept: as of `EncodedFrames`.

    Attributes:
        objects: by id, in the order they came.
    """

    def __init__(
        self,
        runtime: Runtime,
        source: FrameSource,
        frames_at_once: int = 1,
        chunks_kept: int | None = _FRAMES_KEPT,
    ):
        self.runtime, self.source = runtime, source
        self.encoded = EncodedFrames(
            runtime.model, runtime.params, source, runtime.storage, frames_at_once, chunks_kept
        )
        self.objects: dict[Hashable, TrackedObject] = {}

    def correct(self, items: Sequence[TrackedObject], frame: int, prompts: Prompts) -> list[Result]:
        """Masks of objects (1, O, ...) by their clicks on a frame; from memory too, where it was tracked before.

        Objects that were tracked in one direction, or not at all, take one call of the decoder.
        """
        features = self.encoded.features(frame)
        results: dict[int, Result] = {}
        for direction in {item.directions.get(frame) for item in items}:
            rows = [row for row, item in enumerate(items) if item.directions.get(frame) == direction]
            given = _rows_of(prompts, rows, self.runtime.rows(len(rows)))
            if direction is None:
                prediction = predict_first(self.runtime.model, self.runtime.params, features, given)
            else:
                memory = self.memory([items[row] for row in rows], [frame] * len(rows), direction)
                prediction = predict_with_memory(
                    self.runtime.model, self.runtime.params, memory, features, frame, direction, given
                )
            results |= dict(zip(rows, self.keep(prediction, count=len(rows))))
        return [results[row] for row in range(len(items))]

    def take(self, frame: int, masks: np.ndarray) -> list[Result]:
        """A user's masks (O, S, S), 0 to 1, on a frame."""
        count, padding = len(masks), self.runtime.rows(len(masks)) - len(masks)
        given = np.pad(masks, ((0, padding), (0, 0), (0, 0)))[None]
        prediction = take_masks(self.runtime.model, self.runtime.params, self.encoded.features(frame), given)
        return self.keep(prediction, count=count)

    def keep(self, prediction: MaskPrediction, maps: jax.Array | None = None, count: int | None = None) -> list[Result]:
        """Results of the first `count` objects of a prediction (1, O, ...), which it waits for; and their memories."""
        of_frame = jax.tree.map(lambda x: x[0], transfer.to_host(prediction))
        rows = range(len(of_frame.iou) if count is None else count)
        parts = [None] * len(rows) if maps is None else self.parts(maps, len(rows))
        return [result_of(self.runtime.storage, of_frame, row, part) for row, part in zip(rows, parts, strict=True)]

    def parts(self, maps: jax.Array, count: int) -> list[Part]:
        """Spatial memories (1, O, h, w, memory channels) of `count` objects, in the type that banks keep them in."""
        whole = self.runtime.storage.device.keep(maps.astype(jnp.bfloat16))
        return [Part(whole, (0, row)) for row in range(count)]

    def settle(self) -> None:
        """Makes memories of the prompts since the last propagation."""
        if not self.objects:
            raise RuntimeError("There is no object to track; add points, a box or a mask first.")
        for obj_id, item in self.objects.items():
            if not item.prompted and not any(counts for _, counts in item.pending.values()):
                raise RuntimeError(f"Object {obj_id} has no prompt; add points, a box or a mask first.")
        pending = [(frame, result) for item in self.objects.values() for frame, (result, _) in item.pending.items()]
        for frame, entries in itertools.groupby(sorted(pending, key=lambda entry: entry[0]), lambda entry: entry[0]):
            results = [result for _, result in entries]
            for result in results:
                result.hard = True
            self._make_maps(frame, results)
        for item in self.objects.values():
            for frame, (result, counts) in sorted(item.pending.items(), key=lambda entry: entry[1][1]):
                (item.prompted if counts else item.tracked)[frame] = result
                if self.runtime.forget_distance is not None:
                    item.forget_near(frame, self.runtime.forget_distance)
            item.pending.clear()
            for frame in item.prompted:
                item.tracked.pop(frame, None)

    def track(self, order: range) -> Iterator[int]:
        """Carries all objects over frames in order, forward or back; yields each frame when its results are there."""
        if not order:
            return
        items, direction = list(self.objects.values()), order.step
        memory = self.memory(items, [order[0]] * len(items), direction)
        distance = self.runtime.forget_distance
        for frame, dispatched in self.runtime.passes.run(Pass(self.encoded, items, order, memory, distance)):
            if dispatched is not None:
                for item, result in zip(items, self.keep(*dispatched, count=len(items))):
                    item.was_tracked(frame, result)
            for item in items:
                item.directions[frame] = direction
                if distance is not None and frame in item.prompted:
                    item.forget_near(frame, distance)
                # A memory too far behind to be read is let go; it can be made again from its mask.
                behind = item.tracked.get(frame - direction * reach(self.runtime.model.config))
                if behind is not None:
                    behind.let_go_of_maps()
                item.forget_beyond(self.runtime.storage.limits.frames)
            yield frame

    def memory(
        self,
        items: Sequence[TrackedObject],
        frames: Sequence[int],
        direction: int = 1,
        rows: int | None = None,
        slots: int | None = None,
    ) -> MemoryBank:
        """What objects remember before frames, one for each; other arguments as of `gather_memory`."""

        def maps_of(index: int, result: Result) -> jax.Array:
            maps = result.maps
            if maps is None:
                self._make_maps(index, [result])
                maps = result.maps
            return maps

        rows = rows or self.runtime.rows(len(items))
        slots = slots or bucket(max(len(item.prompted) for item in items))
        config, length, sharding = self.runtime.model.config, self.source.length, self.runtime.bank_sharding
        return gather_memory(config, items, frames, direction, length, rows, slots, maps_of, sharding)

    def shown(self, logits: np.ndarray) -> np.ndarray:
        """Logits as a user sees them: without small holes."""
        return remove_small_regions(logits, 0, self.runtime.fill_hole_area, margin=0.1)

    def leave_device(self) -> None:
        """Moves all that the session has on the device to the host, as where it will be idle for a while."""
        self.encoded.leave_device()
        for item in self.objects.values():
            for result in item.results():
                result.leave_device()

    def _make_maps(self, frame: int, results: Sequence[Result]) -> None:
        """Spatial memories of results on a frame."""
        rows = self.runtime.rows(len(results))
        logits = [self.shown(result.logits) if result.hard else result.logits for result in results]
        hard = np.array([[result.hard for result in results]])
        prediction = MaskPrediction(
            logits=_padded(logits, rows),
            **{name: _padded([getattr(result, name) for result in results], rows) for name in _NUMBERS},
        )
        hard = np.pad(hard, ((0, 0), (0, rows - len(results))))
        maps = remember(self.runtime.model, self.runtime.params, self.encoded.features(frame), prediction, hard)
        for result, part in zip(results, self.parts(maps, len(results)), strict=True):
            result.keep_maps(part)


_NUMBERS = ("iou", "object_score", "pointer")


def _padded(values: Sequence, rows: int) -> np.ndarray:
    """Values of objects -> (1, rows, ...) float32."""
    values = np.stack([np.asarray(value, np.float32) for value in values])
    return np.pad(values, ((0, rows - len(values)), *((0, 0),) * (values.ndim - 1)))[None]


def _rows_of(prompts: Prompts, rows: list[int], count: int) -> Prompts:
    """Prompts of some objects, and of the first of them again to fill `count` rows."""
    rows = [*rows, *rows[:1] * (count - len(rows))]
    return jax.tree.map(lambda x: x[:, rows], prompts)
