# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as a protocol uses it: a clip is encoded once, and its objects are carried together, in compiled steps.

In: a model and a `Clip`. Out: a `Session`. The host decides which frames are prompted and hands out the results;
features, memories, clicks and IoUs stay on the device.
"""

from collections.abc import Iterator
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import clicks as simulated
from sam2_jax import transfer
from sam2_jax.evaluation import steps
from sam2_jax.evaluation.clicking import pad_packed
from sam2_jax.evaluation.clips import NEVER, Clip
from sam2_jax.evaluation.encoded_clip import FRAMES_AT_ONCE, EncodedClip
from sam2_jax.evaluation.object_group import OBJECTS_AT_ONCE, ObjectGroup
from sam2_jax.evaluation.session import Tracked
from sam2_jax.media.resizing import resize_mask
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.predictors.prompts import lay_out
from sam2_jax.tracking import predict_first, remember, take_masks
from sam2_jax.types import ABSENT, Label, Prompts

_CHUNKS_KEPT = 64  # 512 frames


class ModelSession:
    """One clip under SAM 2.

    Args:
        model, params: as `sam2_jax.load` returns them.
        hard_prompts: masks that the user made by prompts are remembered as hard ones, as in the published package's
            predictor; its script for VOS remembers their probabilities.
        one_pass: the clip is passed once, and nothing is kept for clicks after that.

    Raises:
        ValueError: the weights hold no memory.
    """

    def __init__(self, model: SAM2, params: dict, clip: Clip, hard_prompts: bool = True, one_pass: bool = False):
        if not model.config.has_memory:
            raise ValueError(f"The weights of {model.config.name} serve pictures only; a video needs a memory.")
        self.model, self.params, self.clip, self.hard_prompts = model, params, clip, hard_prompts
        self._encoded = EncodedClip(model, params, clip, 2 if one_pass else _CHUNKS_KEPT)
        self._one_pass = one_pass
        self._size = np.array(clip.size, np.int32)
        firsts = range(0, len(clip.objects), OBJECTS_AT_ONCE)
        slices = [slice(first, min(first + OBJECTS_AT_ONCE, len(clip.objects))) for first in firsts]
        self._groups = [ObjectGroup(model.config, objects, clip.starts[objects], clip.length) for objects in slices]

    def give(self, kind: Literal["mask", "box"]) -> None:
        """Gives the true mask of each object on its first frame, or the box around it."""
        for group in self._groups:
            frames = group.starts[: len(group)]
            features = self._encoded.features(frames, group.rows)
            truth = self._encoded.truth(frames, group.objects, group.rows)
            if kind == "mask":
                side = self.model.config.image_size
                masks = np.stack([resize_mask(mask, side) for mask in truth]).astype(np.float32)
                prediction = take_masks(self.model, self.params, features, masks[:, None])
            else:
                prediction = predict_first(self.model, self.params, features, self._boxes(truth))
            hard = jnp.full((group.rows, 1), self.hard_prompts)
            maps = remember(self.model, self.params, features, prediction, hard)
            group.take(frames, *jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (prediction, maps)))

    def click(self, frames: np.ndarray, clicks: int) -> None:
        """Clicks on one frame (O,) of each object, `NEVER` for none, at the centre of what is wrong there."""
        for group in self._groups:
            here = np.asarray(frames)[group.objects]
            if (here == NEVER).all():
                continue
            visited = np.maximum(here, 0)
            truth = self._encoded.truth(visited, group.objects, group.rows)
            earlier = {}
            if group.passed:
                memory, seen = group.before(visited)
                at = np.pad(visited, (0, group.rows - len(visited))).astype(np.int32)
                earlier = dict(memory=memory, frames=at, before=seen)
            prediction, maps = steps.click_on_frames(
                self.model,
                self.params,
                self._encoded.features(visited, group.rows),
                pad_packed(np.packbits(truth, axis=-1), self.clip.size),
                self._size,
                clicks=clicks,
                hard=self.hard_prompts,
                **earlier,
            )
            group.take(here, prediction, maps)

    def track(self) -> Iterator[Tracked]:
        """Carries all prompts so far through the clip: each of its frames in order."""
        yield from self._pass([group.bank for group in self._groups], None)

    def track_and_pause(self, least_iou: float, most_frames: int, clicks: int) -> Iterator[Tracked]:
        """Carries the prompts on the first frames; clicks where an object's IoU falls below the least."""
        pausing = steps.Pausing(least_iou, most_frames, clicks, self.hard_prompts)
        yield from self._pass([group.bank_for(most_frames) for group in self._groups], pausing)

    def prompted(self) -> list[list[int]]:
        """The frames that each object was prompted on, in the order of the prompts."""
        return [given + paused for group in self._groups for given, paused in zip(group.prompted, group.paused)]

    def _pass(self, banks: list[MemoryBank], pausing: steps.Pausing | None) -> Iterator[Tracked]:
        """Carries all groups over all chunks, one ahead of the results that are read."""
        for group in self._groups:
            group.passed, group.paused = {}, [[] for _ in group.prompted]
        waiting = None
        for number in range(len(self._encoded)):
            results = []
            for index, group in enumerate(self._groups):
                if (number + 1) * FRAMES_AT_ONCE <= group.starts.min() + 1:
                    results.append(None)  # nothing has begun
                    continue
                chunk = self._encoded.chunk(number, group.objects, group.rows)
                arguments = banks[index], chunk, group.starts, self._size
                banks[index], passed = steps.carry(self.model, self.params, *arguments, pausing)
                if not self._one_pass and pausing is None:
                    group.passed[number] = passed
                results.append(passed)
            if waiting is not None:
                yield from self._results(*waiting)
            waiting = number * FRAMES_AT_ONCE, results
        yield from self._results(*waiting)

    def _results(self, first: int, results: list[steps.Passed | None]) -> Iterator[Tracked]:
        """What a chunk, from its first frame on, gave for all groups."""
        side = self.model.config.mask_size
        length = min(FRAMES_AT_ONCE, self.clip.length - first)
        logits = np.full((length, len(self.clip.objects), side, side), ABSENT, np.float32)
        ious = np.full(logits.shape[:2], np.nan, np.float32)
        frames = first + np.arange(length)
        for group, passed in zip(self._groups, results):
            if passed is not None:
                found = (passed.prediction.logits, passed.ious, passed.paused)
                found, fits, paused = (x[:length, : len(group)] for x in transfer.to_host(found))
                begun = frames[:, None] > group.starts[: len(group)]
                logits[:, group.objects][begun] = found[begun]
                ious[:, group.objects][begun] = fits[begun]
                for index, row in np.argwhere(paused):
                    group.paused[row].append(int(frames[index]))
            for (frame, row), made in group.shown.items():
                if frame in frames:
                    logits[frame - first, group.objects.start + row] = transfer.to_host(made)
                    ious[frame - first, group.objects.start + row] = np.nan
        for index, frame in enumerate(frames.tolist()):
            yield Tracked(frame, logits[index], ious[index])

    def _boxes(self, truth: np.ndarray) -> Prompts:
        """The box around each mask (O, H, W), each on a picture of its own."""
        scale = self.model.config.image_size / self._size[::-1].astype(np.float32)
        corners = transfer.to_host(simulated.box(truth)) * scale
        labels = np.tile(np.int32([Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]), (len(truth), 1))
        prompts = jax.tree.map(lambda x: x[:, : len(truth)], lay_out(corners, labels, None))
        return jax.tree.map(lambda x: np.swapaxes(x, 0, 1), prompts)
