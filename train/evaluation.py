# SPDX-License-Identifier: Apache-2.0
"""How good the model is while it trains: J of a few held-out clips, each object tracked from one prompt.

In: a source, how many of its videos, the parameters. Out: the mean J, and images of prompts and predictions. This is a
gauge, at the model's own resolution; `sam2_jax.evaluation` has the protocols that results are reported by. Each device
tracks one clip at a time, which its process has read; only sums go between devices, and only what is drawn leaves them.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from data.source import Source
from data.sources import open_source
from sam2_jax.clicks import centre_click
from sam2_jax.evaluation.j_and_f_jit import j_and_f
from sam2_jax.media import resize_frame, resize_mask
from sam2_jax.media.overlays import overlay
from sam2_jax.model import SAM2
from sam2_jax.model.mask_decoder import take_mask
from sam2_jax.model.sam2 import enlarge
from sam2_jax.segmentation import segment_image
from sam2_jax.tracking import segment_video
from sam2_jax.types import Label, Prompts
from train.sharding import batch_sharding, replicated


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is evaluated, and when.

    Attributes:
        source: what `data.sources.open_source` opens, or a source.
        every: steps between two evaluations; there is one after the last step in any case.
        videos: the first so many of the source.
        frames: the first so many annotated frames of each.
        objects: at most so many, of those in sight on the first frame.
        prompt: "click", at the object's center, or "mask", on the first frame.
        pictures: how many of the videos are drawn: the first ones, or the first that process 0 has read.
    """

    source: str | Source
    every: int = 5000
    videos: int = 16
    frames: int = 8
    objects: int = 3
    prompt: Literal["click", "mask"] = "click"
    pictures: int = 4

    def __post_init__(self):
        if self.prompt not in ("click", "mask"):
            raise ValueError(f"EvaluationConfig.prompt is {self.prompt!r}; expected 'click' or 'mask'.")
        for name in ("every", "videos", "frames", "objects"):
            if getattr(self, name) < 1:
                raise ValueError(f"EvaluationConfig.{name} is {getattr(self, name)}; expected 1 or more.")


@dataclasses.dataclass(frozen=True)
class _Clip:
    """A clip at the model's size: frames (T, S, S, 3) uint8, masks (T, O, S, S) bool, and which objects it has (O,)."""

    frames: np.ndarray
    masks: np.ndarray
    valid: np.ndarray


class HeldOut:
    """Clips to evaluate on, read once: every process holds those of its own devices.

    All processes choose the clips alike, from what is known without decoding a frame. In each round every device takes
    one clip; the last round is filled with clips without objects, which count for nothing.

    Raises:
        ValueError: the source has no video with an object in sight and enough annotated frames.
    """

    def __init__(self, config: EvaluationConfig, model: SAM2, mesh: Mesh):
        self._config, self._model, self._mesh = config, model, mesh
        source = open_source(config.source) if isinstance(config.source, str) else config.source
        chosen = list(itertools.islice(_usable(source, config), config.videos))
        if not chosen:
            raise ValueError(
                f"{source.name} has nothing to evaluate on: expected a video of {config.frames} annotated frames with "
                "an object on the first of them."
            )
        size = model.config.image_size
        self._rounds = -(-len(chosen) // mesh.size)
        local = batch_sharding(mesh).addressable_devices_indices_map((mesh.size,)).values()
        rows = sorted({index.start or 0 for (index,) in local})
        numbers = [turn * mesh.size + row for turn in range(self._rounds) for row in rows]
        self._clips = {n: _read(source, *chosen[n], config, size) for n in numbers if n < len(chosen)}
        frames = np.zeros((config.frames, size, size, 3), np.uint8)
        masks = np.zeros((config.frames, config.objects, size, size), bool)
        self._empty = _Clip(frames, masks, np.zeros(config.objects, bool))

    def evaluate(self, params: dict) -> tuple[dict[str, float], list[np.ndarray]]:
        """Tracks every object; all processes call it together.

        Returns:
            ``evaluation/j_first_frame`` and ``evaluation/j_tracked``, the means over objects and frames, alike in all
            processes; and on process 0 images (S, S, 3), as many for each drawn clip as it has frames: what was
            predicted, on the first with the click.
        """
        sums, images = [], []
        left = self._config.pictures if jax.process_index() == 0 else 0
        for start in range(0, self._rounds * self._mesh.size, self._mesh.size):
            arrays = [self._global(start, name) for name in ("frames", "masks", "valid")]
            totals, clicks, masks = track(self._model, params, self._config.prompt, self._mesh, *arrays)
            sums.append(totals)
            drawn = [number for number in range(start, start + self._mesh.size) if number in self._clips][:left]
            left -= len(drawn)
            clicks, masks = _rows(clicks, start, drawn), _rows(masks, start, drawn)
            for number in drawn:
                images += self._draw(self._clips[number], clicks[number], masks[number])
        totals = jax.tree.map(lambda *values: np.sum(values), *jax.device_get(sums))
        objects = max(totals["objects"], 1)
        values = {"evaluation/j_first_frame": float(totals["j_first_frame"] / objects)}
        if self._config.frames > 1:
            values["evaluation/j_tracked"] = float(totals["j_tracked"] / (objects * (self._config.frames - 1)))
        return values, images

    def _global(self, start: int, name: str) -> jax.Array:
        """An array of the clips of one round, whose first number is `start`, each on its device."""
        empty = getattr(self._empty, name)

        def of_device(index: tuple[slice, ...]) -> np.ndarray:
            return getattr(self._clips.get(start + (index[0].start or 0), self._empty), name)[None]

        sharding = batch_sharding(self._mesh)
        return jax.make_array_from_callback((self._mesh.size, *empty.shape), sharding, of_device)

    def _draw(self, clip: _Clip, clicks: np.ndarray, masks: np.ndarray) -> list[np.ndarray]:
        points = clicks[clip.valid] if self._config.prompt == "click" else None
        return [
            overlay(frame, mask[clip.valid], points=points if index == 0 else None)
            for index, (frame, mask) in enumerate(zip(clip.frames, masks))
        ]


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def track(
    model: SAM2, params: dict, prompt: str, mesh: Mesh, frames: jax.Array, truth: jax.Array, valid: jax.Array
) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    """Tracks the objects of B clips, each where its arrays are.

    Args:
        prompt: as of `EvaluationConfig`.
        mesh: whose devices the clips are divided over.
        frames: (B, T, S, S, 3) uint8.
        truth: (B, T, O, S, S) bool.
        valid: (B, O) bool, which objects there are.

    Returns:
        How many ``objects`` there are, and the sums over them of ``j_first_frame``, J on the first frame, and
        ``j_tracked``, J on the others; clicks (B, O, 2) and predicted masks (B, T, O, S, S), divided as the clips are.
    """
    points, labels = centre_click(truth[:, 0])
    # Behind the click stands a token that is no point, as in training.
    prompts = Prompts(
        points=jnp.stack([points, points], -2),
        labels=jnp.stack([labels, jnp.full_like(labels, Label.NOT_A_POINT)], -1),
    )
    given = {"masks": truth[:, 0].astype(jnp.float32)} if prompt == "mask" else {"prompts": prompts}
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        if model.config.has_memory:
            logits = segment_video(model, params, frames, **given).logits
        else:
            answer = segment_image(model, params, frames[:, 0], prompts, True)
            logits = take_mask(answer.logits, answer.ious.argmax(-1))[:, None]
    masks = enlarge(logits, truth.shape[-1]) > 0
    j, _ = j_and_f(truth, masks)
    j = jnp.where(valid[:, None], j, 0)
    totals = {"objects": valid.sum(), "j_first_frame": j[:, 0].sum(), "j_tracked": j[:, 1:].sum()}
    totals = jax.lax.with_sharding_constraint(totals, replicated(mesh))
    return totals, *jax.lax.with_sharding_constraint((points, masks), batch_sharding(mesh))


def _usable(source: Source, config: EvaluationConfig) -> Iterator[tuple[int, list[int], list[int]]]:
    """Of each video that can be evaluated on: its number, and the frames and the objects that are taken."""
    for index in range(len(source)):
        frames = list(source.video(index).annotated[: config.frames])
        if len(frames) < config.frames:
            continue
        objects = np.flatnonzero(np.asarray(source.areas(index, frames[0])) > 0)[: config.objects].tolist()
        if objects:
            yield index, frames, objects


def _read(
    source: Source, index: int, frames: list[int], objects: list[int], config: EvaluationConfig, size: int
) -> _Clip:
    """The clip; an object that is too small to be seen at the model's size does not count."""
    masks = np.zeros((len(frames), config.objects, size, size), bool)
    for frame, at_full_size in enumerate(source.masks(index, frames, objects)):
        for column, mask in enumerate(at_full_size):
            masks[frame, column] = resize_mask(mask, size)
    resized = np.stack([resize_frame(frame, size) for frame in source.frames(index, frames)])
    return _Clip(resized, masks, masks[0].any((-2, -1)))


def _rows(array: jax.Array, start: int, numbers: list[int]) -> dict[int, np.ndarray]:
    """Of an array of a round's clips, some that are on this process's devices; nothing else is fetched."""
    shards = {start + (shard.index[0].start or 0): shard.data for shard in array.addressable_shards}
    return {number: np.asarray(shards[number])[0] for number in numbers}
