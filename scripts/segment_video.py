# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.segment_video VIDEO --object "frame=0 point=X,Y" --weights W --out DIR`: objects through a video.

In: a video and what each object is. Out: a palette PNG for each frame, or one for each object, an overlay to watch, and
scores.
"""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from sam2_jax import media
from sam2_jax.media.files import replacing
from sam2_jax.media.videos import open_video
from scripts.command import NANO, Dtype, Weights, console, numbers, output_folder, run
from scripts.tracking import track, unpack, write_overlay

Object = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar='"frame=N point=X,Y ..."')]


@dataclasses.dataclass
class ObjectPrompt:
    """What the command line says of one object."""

    frame: int = 0
    points: list[list[float]] = dataclasses.field(default_factory=list)
    box: list[float] | None = None
    mask: Path | None = None


def segment_video(
    video: tyro.conf.Positional[Path],
    out: Path,
    object: Object,
    weights: Weights = NANO,
    per_object: bool = False,
    image_size: int | None = None,
    dtype: Dtype | None = None,
    overwrite: bool = False,
) -> None:
    """Carries objects through a video, from one prompt each, forward and back.

    Args:
        video: A video file, or a folder of pictures.
        weights: nano, which comes along, or a published .pt, a .safetensors file or folder, an Orbax directory.
        out: The folder for masks/, overlay.mp4 and scores.json.
        object: An object: "frame=N" and "point=X,Y[,0|1]" (several allowed), "box=X0,Y0,X1,Y1" or "mask=FILE". Can be
            repeated.
        per_object: Write a mask file for each object; without it, one palette file for all of them.
        image_size: The side that frames are resized to, a multiple of 32; the model's own without it.
        dtype: The type to compute in; the model's own without it.
        overwrite: Replace the results of an earlier run.
    """
    prompts = [_parse(text) for text in object]
    if not prompts:
        raise ValueError("There is no object; expected --object, such as --object 'frame=0 point=210,350'.")
    opened = open_video(video)
    if opened.damage:
        raise ValueError(opened.damage)
    folder = output_folder(out, ["masks", "overlay.mp4", "scores.json"], overwrite)

    import sam2_jax  # after the arguments have been read, so that --help and mistakes are answered at once

    with console.status("reading the weights"):
        model, params = sam2_jax.load(weights, image_size, dtype)
    predictor = sam2_jax.SAM2VideoPredictor(model, params, non_overlap_masks=not per_object)
    state = predictor.init_state(opened)
    for obj_id, prompt in enumerate(prompts, start=1):
        if prompt.mask is not None:
            predictor.add_new_mask(state, prompt.frame, obj_id, media.read_mask(prompt.mask))
            continue
        points = np.array([point[:2] for point in prompt.points]) if prompt.points else None
        labels = np.array([point[2] if len(point) == 3 else 1 for point in prompt.points]) if prompt.points else None
        predictor.add_new_points_or_box(state, prompt.frame, obj_id, points, labels, box=prompt.box)

    masks, rows = track(predictor, state, opened.length, first=min(prompt.frame for prompt in prompts))
    write_overlay(folder / "overlay.mp4", opened, masks)
    _write_masks(folder / "masks", masks, opened.width, per_object)
    report = dict(video=video.name, model=model.config.name, frames=len(masks), objects=len(prompts), scores=rows)
    (folder / "scores.json").write_text(json_format.dumps(report, indent=1) + "\n")
    console.print(f"masks of {len(prompts)} object(s) on {len(masks)} frames, and overlay.mp4, are in {folder}")


def _write_masks(folder: Path, masks: dict[int, np.ndarray], width: int, per_object: bool) -> None:
    folder.mkdir(exist_ok=True)
    colors = media.palette(256)
    for index in sorted(masks):
        here = unpack(masks[index], width)
        if per_object:
            for obj_id, mask in enumerate(here, start=1):
                (folder / f"{obj_id:03d}").mkdir(exist_ok=True)
                media.write_mask(folder / f"{obj_id:03d}" / f"{index:05d}.png", mask)
            continue
        labels = np.zeros(here.shape[1:], np.uint8)
        for obj_id, mask in enumerate(here, start=1):
            labels[mask] = obj_id
        image = Image.fromarray(labels, "P")
        image.putpalette(colors.tobytes())
        with replacing(folder / f"{index:05d}.png") as file:
            image.save(file, format="PNG")


def _parse(text: str) -> ObjectPrompt:
    prompt = ObjectPrompt()
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "frame" and value.isdigit():
            prompt.frame = int(value)
        elif name == "point":
            prompt.points.append(numbers(value, (2, 3), "point: expected X,Y or X,Y,0 or X,Y,1"))
        elif name == "box":
            prompt.box = numbers(value, (4,), "box: expected X0,Y0,X1,Y1")
        elif name == "mask":
            prompt.mask = Path(value)
        else:
            raise ValueError(f"{word!r} in --object is none of frame=N, point=X,Y[,0|1], box=X0,Y0,X1,Y1, mask=FILE.")
    if prompt.mask is not None and (prompt.points or prompt.box):
        raise ValueError(f"--object {text!r} has a mask and more; expected a mask alone, or points and a box.")
    if prompt.mask is None and prompt.box is None and not prompt.points:
        raise ValueError(f"--object {text!r} has no prompt; expected point=, box= or mask=.")
    return prompt


if __name__ == "__main__":
    run(segment_video)
