# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.segment_image PICTURE --point X,Y --weights W --out DIR`: one picture, its prompts, its masks.

In: a picture and clicks, boxes or a mask in its pixels. Out: masks (PNG), an overlay to look at, and scores (JSON).
"""

import json as json_format
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from sam2_jax import media
from sam2_jax.media.overlays import overlay
from scripts.command import NANO, Dtype, Weights, console, numbers, output_folder, run

Point = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="X,Y[,0|1]")]
Box = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="X0,Y0,X1,Y1")]


def segment_image(
    picture: tyro.conf.Positional[Path],
    out: Path,
    point: Point = (),
    box: Box = (),
    mask: Path | None = None,
    weights: Weights = NANO,
    multimask: bool | None = None,
    image_size: int | None = None,
    dtype: Dtype | None = None,
    json: bool = False,
    overwrite: bool = False,
) -> None:
    """Segments an object of a picture from clicks, a box or a mask.

    Args:
        picture: The picture to segment.
        weights: nano, which comes along, or a published .pt, a .safetensors file or folder, an Orbax directory.
        out: The folder for masks, overlay.png and scores.json.
        point: A click in pixels; 1 (on the object) if no label is given. Can be repeated.
        box: A box around the object in pixels. Repeated, each is an object of its own.
        mask: An earlier mask of the object, a PNG as large as the picture.
        multimask: Give three masks for each object; without it, only a single click does.
        image_size: The side that the picture is resized to, a multiple of 32; the model's own without it.
        dtype: The type to compute in; the model's own without it.
        json: Print scores.json too.
        overwrite: Replace the results of an earlier run.
    """
    pixels = media.read_picture(picture)
    clicks = [numbers(text, (2, 3), "point: expected X,Y or X,Y,0 or X,Y,1") for text in point]
    coordinates = np.array([click[:2] for click in clicks], np.float32).reshape(-1, 2)
    labels = np.array([click[2] if len(click) == 3 else 1 for click in clicks], np.float32)
    boxes = np.array([numbers(text, (4,), "box: expected X0,Y0,X1,Y1") for text in box], np.float32).reshape(-1, 4)
    if multimask is None:
        multimask = len(clicks) == 1 and not box and mask is None

    import sam2_jax  # after the arguments have been read, so that --help and mistakes are answered at once

    with console.status("reading the weights"):
        model, params = sam2_jax.load(weights, image_size, dtype)
    predictor = sam2_jax.SAM2ImagePredictor(model, params)
    with console.status("encoding the picture (the first time, also compiling)"):
        predictor.set_image(pixels)
    with console.status("segmenting"):
        masks, ious, _ = predictor.predict(
            point_coords=coordinates if clicks else None,
            point_labels=labels if clicks else None,
            box=boxes if len(boxes) else None,
            mask_input=None if mask is None else _logits(mask, pixels.shape[:2], model.config.mask_size),
            multimask_output=multimask,
        )
    masks = masks.reshape(-1, ious.shape[-1], *pixels.shape[:2]) > 0
    ious = ious.reshape(masks.shape[:2])
    order = np.argsort(-ious, axis=1)

    rows = []
    for index in range(len(masks)):
        for rank, choice in enumerate(order[index]):
            rows.append(
                dict(
                    object=index,
                    file=f"object{index}_mask{rank}.png",
                    predicted_iou=round(float(ious[index, choice]), 4),
                    area=int(masks[index, choice].sum()),
                )
            )
    height, width = pixels.shape[:2]
    report = dict(picture=picture.name, model=model.config.name, height=height, width=width, masks=rows)
    folder = output_folder(out, [*(row["file"] for row in rows), "overlay.png", "scores.json"], overwrite)
    for row, choice in zip(rows, order.reshape(-1)):
        media.write_mask(folder / row["file"], masks[row["object"], choice])
    best = masks[np.arange(len(masks)), order[:, 0]]
    media.write_picture(folder / "overlay.png", overlay(pixels, best, points=coordinates, labels=labels, boxes=boxes))
    text = json_format.dumps(report, indent=2)
    (folder / "scores.json").write_text(text + "\n")
    if json:
        print(text)
    console.print(f"{len(rows)} mask(s), the best of each object first, and overlay.png are in {folder}")


def _logits(path: Path, picture_size: tuple[int, int], size: int) -> np.ndarray:
    """A mask file as the low-resolution logits that the model takes: (1, S/4, S/4), -10 to 10."""
    mask = media.read_mask(path)
    if mask.shape != picture_size:
        came, expected = "{1} x {0}".format(*mask.shape), "{1} x {0}".format(*picture_size)
        raise ValueError(f"--mask is {came} pixels; expected those of the picture, {expected}.")
    grey = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=-1)
    return media.resize_picture(grey, size)[None, ..., 0] / 255 * 20 - 10


if __name__ == "__main__":
    run(segment_image)
