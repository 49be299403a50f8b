# SPDX-License-Identifier: Apache-2.0
"""How good the model is while it trains: J of a few held-out clips, each object tracked from one prompt.

In: a source, how many of its videos, the parameters. Out: the mean J, and pictures of prompts and answers. This is a
gauge, at the model's own resolution; `sam2_jax.evaluation` has the protocols that results are reported by.
"""

import dataclasses
import functools
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
from train.sharding import batch_sharding, place, replicated


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is evaluated, and when.

    Attributes:
        source: what `data.sources.open_source` opens, or a source.
        every: steps between two evaluations; there is one after the last step in any case.
        videos: the first so many of the source.
        frames: the first so many annotated frames of each.
        objects: at most so many, of those in sight on the first frame.
        prompt: "click", at the object's centre, or "mask", on the first frame.
        pictures: how many of the videos are drawn.
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


class HeldOut:
    """Clips to evaluate on, read once: every process holds all of them, and each device tracks some.

    Raises:
        ValueError: the source has no video with an object in sight and enough annotated frames.
    """

    def __init__(self, config: EvaluationConfig, model: SAM2, mesh: Mesh):
        self._config, self._model, self._mesh = config, model, mesh
        source = open_source(config.source) if isinstance(config.source, str) else config.source
        clips = (_read(source, index, config, model.config.image_size) for index in range(len(source)))
        clips = [clip for _, clip in zip(range(config.videos), (clip for clip in clips if clip is not None))]
        if not clips:
            raise ValueError(
                f"{source.name} has nothing to evaluate on: expected a video of {config.frames} annotated frames with "
                "an object on the first of them."
            )
        self._clips = [np.stack(arrays) for arrays in zip(*clips)]

    def evaluate(self, params: dict) -> tuple[dict[str, float], list[np.ndarray]]:
        """Tracks every object.

        Returns:
            ``evaluation/j_first_frame`` and ``evaluation/j_tracked``, the means over objects and frames, and pictures
            (S, S, 3), as many for each drawn clip as it has frames: what was predicted, on the first with the click.
        """
        count, at_once = len(self._clips[0]), self._mesh.size
        overlaps, pictures = [], []
        for start in range(0, count, at_once):
            # The last clips are filled up with the first one's like, so that one compiled function serves all.
            rows = np.arange(start, start + at_once) % count
            chunk = [place(array[rows], batch_sharding(self._mesh)) for array in self._clips]
            answer = _track(self._model, params, self._config.prompt, self._mesh, *chunk[:2])
            clicks, masks, overlap = jax.device_get(answer)
            valid = self._clips[2][rows]
            for row in range(min(at_once, count - start)):
                overlaps.append(overlap[row][:, valid[row]])
                if start + row < self._config.pictures:
                    pictures += self._draw(start + row, clicks[row], masks[row])
        first = np.concatenate([overlap[0] for overlap in overlaps])
        values = {"evaluation/j_first_frame": float(first.mean())}
        if self._config.frames > 1:
            values["evaluation/j_tracked"] = float(np.concatenate([o[1:].ravel() for o in overlaps]).mean())
        return values, pictures

    def _draw(self, clip: int, clicks: np.ndarray, masks: np.ndarray) -> list[np.ndarray]:
        frames, _, valid = (array[clip] for array in self._clips)
        points = clicks[valid] if self._config.prompt == "click" else None
        return [
            overlay(frame, mask[valid], points=points if index == 0 else None)
            for index, (frame, mask) in enumerate(zip(frames, masks))
        ]


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _track(
    model: SAM2, params: dict, prompt: str, mesh: Mesh, frames: jax.Array, truth: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Frames (B, T, S, S, 3), true masks (B, T, O, S, S) -> clicks (B, O, 2), masks (B, T, O, S, S), J (B, T, O)."""
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
    overlap, _ = j_and_f(truth, masks)
    return jax.lax.with_sharding_constraint((points, masks, overlap), replicated(mesh))


def _read(source: Source, index: int, config: EvaluationConfig, size: int) -> tuple[np.ndarray, ...] | None:
    """Frames (T, S, S, 3), masks (T, O, S, S) and which of the O objects there are; None where it has no such clip."""
    video = source.video(index)
    frames = video.annotated[: config.frames]
    if len(frames) < config.frames:
        return None
    objects = np.flatnonzero(np.asarray(source.areas(index, frames[0])) > 0)[: config.objects].tolist()
    masks = source.masks(index, frames, objects)
    small = np.zeros((len(frames), config.objects, size, size), bool)
    for frame, of_frame in enumerate(masks):
        for column, mask in enumerate(of_frame):
            small[frame, column] = resize_mask(mask, size)
    valid = small[0].any((-2, -1))
    if not valid.any():
        return None
    return np.stack([resize_frame(frame, size) for frame in source.frames(index, frames)]), small, valid
