# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.demo [PICTURE|VIDEO]`: what this is, in a minute, with the weights that come with it.

In: nothing, and two objects are tracked through a made-up video; or a picture or a video of yours, and what is in its
middle is segmented, or under --point. Out: an overlay to look at, and how well it was done, where that is known.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from sam2_jax.evaluation.j_and_f import j_and_f
from sam2_jax.media.files import replacing
from sam2_jax.media.overlays import overlay
from sam2_jax.media.videos import open_video
from scripts.command import NANO, Weights, console, output_folder, run
from scripts.segment_image import segment_image
from scripts.segment_video import segment_video
from scripts.tracking import track, unpack, write_overlay

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_SECONDS_OF_GIF = 1 / 8  # a frame


def demo(
    path: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="PICTURE|VIDEO")]] = None,
    point: Annotated[str | None, tyro.conf.arg(metavar="X,Y")] = None,
    number: int = 90,
    weights: Weights = NANO,
    out: Path = Path("outputs/demo"),
) -> None:
    """Tracks two objects through a made-up video, or segments what is in the middle of a picture or video of yours.

    Args:
        path: A picture or a video; without it a video is made up.
        point: A click on the object, in pixels of the picture or the first frame; without it, in the middle.
        number: Which of the 100 made-up videos, none of which the model was trained on.
        weights: nano, which comes along, or a published .pt, a .safetensors file or folder, an Orbax directory.
        out: The folder for the overlay; an earlier demo's is replaced.
    """
    if path is None:
        _made_up(number, weights, out)
        return
    if path.suffix.lower() in _PICTURES:
        with Image.open(path) as picture:
            point = point or f"{picture.width / 2},{picture.height / 2}"
        segment_image(path, out, point=(point,), weights=weights, overwrite=True)
        return
    video = open_video(path)
    point = point or f"{video.width / 2},{video.height / 2}"
    segment_video(path, out, (f"frame=0 point={point}",), weights=weights, overwrite=True)


def _made_up(number: int, weights: Path, out: Path) -> None:
    """The first two objects of a held-out video, each from one click on the first frame."""
    from data.synthetic import clear_held_out_videos
    from sam2_jax.evaluation.clips import open_clip

    source = clear_held_out_videos()
    if not 0 <= number < len(source):
        raise ValueError(f"--number is {number}; expected 0 to {len(source) - 1}.")
    clip = open_clip(source, number)
    frames = clip.frames(range(clip.length))
    video = open_video(frames)
    truth = np.stack([clip.truth(frame)[:2] for frame in range(clip.length)])
    folder = output_folder(out, [], overwrite=True)

    import sam2_jax  # after the arguments have been read, so that --help and mistakes are answered at once
    from sam2_jax.clicks import centre_click

    with console.status("reading the weights"):
        model, params = sam2_jax.load(weights)
    predictor = sam2_jax.SAM2VideoPredictor(model, params)
    state = predictor.init_state(video)
    clicks = np.asarray(centre_click(truth[0])[0])
    for obj_id, click in enumerate(clicks, start=1):
        predictor.add_new_points_or_box(state, 0, obj_id, click[None], np.ones(1, np.int32))
    masks, _ = track(predictor, state, clip.length)

    write_overlay(folder / "overlay.mp4", video, masks)
    found = np.stack([unpack(masks[frame], clip.size[1]) for frame in range(clip.length)])
    _write_gif(folder / "overlay.gif", frames, found, clicks)
    counted = slice(1, -1)  # as in the published evaluator, neither the prompted frame nor the last one
    scores = {
        "tracked from one click": np.mean(j_and_f(truth[counted], found[counted])),
        "its first mask, left where it was": np.mean(j_and_f(truth[counted], found[:1].repeat(len(truth), 0)[counted])),
    }
    for what, score in scores.items():
        print(f"J&F {100 * score:5.1f}  {what}")
    console.print(f"overlay.mp4 and overlay.gif of {clip.name} are in {folder}")


def _write_gif(path: Path, frames: np.ndarray, masks: np.ndarray, clicks: np.ndarray) -> None:
    """The video, and beside it with what was found; the clicks are on the first frame."""
    shown = []
    for index, (frame, found) in enumerate(zip(frames, masks)):
        seen = overlay(frame, found, points=clicks if index == 0 else None)
        shown.append(Image.fromarray(np.concatenate([frame, seen], axis=1)))
    duration = int(1000 * _SECONDS_OF_GIF)
    with replacing(path) as file:
        shown[0].save(file, format="GIF", save_all=True, append_images=shown[1:], duration=duration, loop=0)


if __name__ == "__main__":
    run(demo)
