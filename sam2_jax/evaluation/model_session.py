# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as a protocol uses it: a clip is encoded once, and its objects are carried together, in compiled steps.

In: a model and a `Clip`. Out: a `Session` of a protocol, over the `sam2_jax.session.Session` that predictors use, too.
The host decides which frames are prompted and hands out the results; features, memories, clicks and IoUs stay on the
device.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import clicks as simulated
from sam2_jax import transfer
from sam2_jax.buckets import bucket
from sam2_jax.evaluation import steps
from sam2_jax.evaluation.chunks import FRAMES_AT_ONCE, ClipFrames, make_chunk, true_masks
from sam2_jax.evaluation.clicking import pad_packed
from sam2_jax.evaluation.clips import NEVER, Clip
from sam2_jax.evaluation.session import Tracked
from sam2_jax.media.resizing import resize_mask
from sam2_jax.model import SAM2
from sam2_jax.predictors.prompts import lay_out
from sam2_jax.session import Part, Runtime, Session, SessionLimits, TrackedObject, result_of
from sam2_jax.tracking import predict_first, remember, take_masks
from sam2_jax.types import ABSENT, Label, MaskPrediction, Prompts

_ROWS = (1, 2, 3, 4, 6, 8)  # objects of a bank; each row more takes its time
OBJECTS_AT_ONCE = _ROWS[-1]
_LATE = 2**30  # the first frame of what never begins


class ModelSession:
    """One clip under SAM 2.

    Args:
        model, params: as `sam2_jax.load` returns them.
        hard_prompts: masks that the user made by prompts are remembered as hard ones, as in the published package's
            predictor; its script for VOS remembers their probabilities.
        one_pass: the clip is passed once, and nothing is kept for clicks after that.
        limits: of what is kept on the device and in host memory.

    Raises:
        ValueError: the weights hold no memory.
    """

    def __init__(
        self,
        model: SAM2,
        params: dict,
        clip: Clip,
        hard_prompts: bool = True,
        one_pass: bool = False,
        limits: SessionLimits | None = None,
    ):
        if not model.config.has_memory:
            raise ValueError(f"The weights of {model.config.name} serve pictures only; a video needs a memory.")
        self.model, self.params, self.clip, self.hard_prompts = model, params, clip, hard_prompts
        self._one_pass, self._passed = one_pass, False
        self._size = np.array(clip.size, np.int32)
        runtime = Runtime(model, params, limits)
        self._session = Session(runtime, ClipFrames(clip), FRAMES_AT_ONCE, chunks_kept=2 if one_pass else None)
        self._items = [TrackedObject() for _ in clip.objects]
        self._paused: list[list[int]] = [[] for _ in clip.objects]

    def give(self, kind: Literal["mask", "box"]) -> None:
        """Gives the true mask of each object on its first frame, or the box around it."""
        for objects in self._groups():
            indices, frames = range(*objects.indices(len(self._items))), self.clip.starts[objects]
            rows = _rows(len(indices))
            features = self._session.encoded.features_of(frames, rows)
            truth = true_masks(self.clip, indices, frames, rows)
            if kind == "mask":
                side = self.model.config.image_size
                masks = np.stack([resize_mask(mask, side) for mask in truth]).astype(np.float32)
                prediction = take_masks(self.model, self.params, features, masks[:, None])
            else:
                prediction = predict_first(self.model, self.params, features, self._boxes(truth))
            maps = remember(self.model, self.params, features, prediction, jnp.full((rows, 1), self.hard_prompts))
            self._keep(indices, frames, *jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (prediction, maps)))

    def click(self, frames: np.ndarray, clicks: int) -> None:
        """Clicks on one frame (O,) of each object, `NEVER` for none, at the center of what is wrong there."""
        asked = np.flatnonzero(np.asarray(frames) != NEVER).tolist()
        for first in range(0, len(asked), OBJECTS_AT_ONCE):
            indices = asked[first : first + OBJECTS_AT_ONCE]
            here, rows = [int(frames[index]) for index in indices], _rows(len(indices))
            truth = true_masks(self.clip, indices, here, rows)
            earlier = {}
            if self._passed:
                items = [self._items[index] for index in indices]
                padding = ((0, rows - len(items)), (0, 0), (0, 0))
                earlier = dict(
                    memory=self._session.memory(items, here, rows=rows, slots=self._slots(self._items)),
                    frames=np.pad(np.int32(here), padding[:1]),
                    before=np.pad([self._seen(item, frame) for item, frame in zip(items, here)], padding),
                )
            prediction, maps = steps.click_on_frames(
                self.model,
                self.params,
                self._session.encoded.features_of(here, rows),
                pad_packed(np.packbits(truth, axis=-1), self.clip.size),
                self._size,
                clicks=clicks,
                hard=self.hard_prompts,
                **earlier,
            )
            self._keep(indices, here, prediction, maps)

    def track(self) -> Iterator[Tracked]:
        """Carries all prompts so far through the clip: each of its frames in order."""
        yield from self._pass(None, keep=not self._one_pass)

    def track_and_pause(self, least_iou: float, most_frames: int, clicks: int) -> Iterator[Tracked]:
        """Carries the prompts on the first frames; clicks where an object's IoU falls below the least."""
        yield from self._pass(steps.Pausing(least_iou, most_frames, clicks, self.hard_prompts), False, most_frames)

    def prompted(self) -> list[list[int]]:
        """The frames that each object was prompted on, in the order of the prompts."""
        return [[*item.prompted, *paused] for item, paused in zip(self._items, self._paused)]

    def _pass(self, pausing: steps.Pausing | None, keep: bool, most_frames: int = 1) -> Iterator[Tracked]:
        """Carries all groups over all chunks, one ahead of the results that are read.

        Args:
            keep: the results, for clicks that follow.
            most_frames: that are prompted of one object at most.
        """
        self._passed = keep
        for item, paused in zip(self._items, self._paused):
            item.tracked.clear()
            paused.clear()
        groups, banks, starts = self._groups(), [], []
        for objects in groups:
            items, rows = self._items[objects], _rows(len(self._items[objects]))
            slots = max(self._slots(items), bucket(most_frames))
            banks.append(self._session.memory(items, [0] * len(items), rows=rows, slots=slots))
            starts.append(np.pad(self.clip.starts[objects], (0, rows - len(items)), constant_values=_LATE))
        waiting = None
        encoded = self._session.encoded
        for number, resized in enumerate(encoded.ahead(range(len(encoded)))):
            features, results = encoded.features(number, resized), []
            for index, objects in enumerate(groups):
                if (number + 1) * FRAMES_AT_ONCE <= starts[index].min() + 1:
                    continue  # nothing has begun
                chunk = make_chunk(self.clip, features, number, objects, len(starts[index]))
                arguments = banks[index], chunk, np.int32(starts[index]), self._size
                banks[index], passed = steps.carry(self.model, self.params, *arguments, pausing)
                maps = self._session.runtime.storage.device.keep(passed.maps) if keep else None
                results.append((objects, transfer.start((passed.prediction, passed.ious, passed.paused)), maps))
            if waiting is not None:
                yield from self._results(*waiting)
            waiting = number * FRAMES_AT_ONCE, results
        yield from self._results(*waiting)

    def _results(self, first: int, results: list[tuple]) -> Iterator[Tracked]:
        """What a chunk, from its first frame on, gave for all groups."""
        side = self.model.config.mask_size
        length = min(FRAMES_AT_ONCE, self.clip.length - first)
        logits = np.full((length, len(self._items), side, side), ABSENT, np.float32)
        ious = np.full(logits.shape[:2], np.nan, np.float32)
        for objects, passed, maps in results:
            prediction, fits, paused = transfer.to_host(passed)
            for row, index in enumerate(range(*objects.indices(len(self._items)))):
                item, start = self._items[index], self.clip.starts[index]
                for step, frame in enumerate(range(first, first + length)):
                    if frame <= start or frame in item.prompted:
                        continue
                    logits[step, index], ious[step, index] = prediction.logits[step, row], fits[step, row]
                    if paused[step, row]:
                        self._paused[index].append(frame)
                    if maps is not None:
                        of_frame = jax.tree.map(lambda x, step=step: x[step], prediction)
                        storage = self._session.runtime.storage
                        item.was_tracked(frame, result_of(storage, of_frame, row, Part(maps, (step, row))))
        for step, frame in enumerate(range(first, first + length)):
            for index, item in enumerate(self._items):
                if frame in item.prompted:
                    logits[step, index] = item.prompted[frame].logits
            yield Tracked(frame, logits[step], ious[step])

    def _keep(self, indices: Sequence[int], frames: Sequence[int], prediction: MaskPrediction, maps: jax.Array) -> None:
        """Remembers predictions (1, rows, ...) that the user made of objects, each on a frame of its own."""
        results = self._session.keep(prediction, maps, len(indices))
        for index, frame, result in zip(indices, frames, results, strict=True):
            self._items[index].was_prompted(int(frame), result)

    def _groups(self) -> list[slice]:
        """Objects that are carried together."""
        firsts = range(0, len(self._items), OBJECTS_AT_ONCE)
        return [slice(first, min(first + OBJECTS_AT_ONCE, len(self._items))) for first in firsts]

    def _slots(self, items: Sequence[TrackedObject]) -> int:
        return bucket(max(len(item.prompted) for item in items))

    def _seen(self, item: TrackedObject, frame: int) -> np.ndarray:
        """The logits (S/4, S/4) of an object on a frame, as the user saw them."""
        result = item.result(frame)
        return np.full((self.model.config.mask_size,) * 2, ABSENT, np.float32) if result is None else result.logits

    def _boxes(self, truth: np.ndarray) -> Prompts:
        """The box around each mask (O, H, W), each on a picture of its own."""
        scale = self.model.config.image_size / self._size[::-1].astype(np.float32)
        corners = transfer.to_host(simulated.box(truth)) * scale
        labels = np.tile(np.int32([Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]), (len(truth), 1))
        prompts = jax.tree.map(lambda x: x[:, : len(truth)], lay_out(corners, labels, None))
        return jax.tree.map(lambda x: np.swapaxes(x, 0, 1), prompts)


def _rows(objects: int) -> int:
    return next(rows for rows in _ROWS if rows >= objects)
