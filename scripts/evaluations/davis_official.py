# SPDX-License-Identifier: Apache-2.0
"""The DAVIS interactive benchmark by its official toolkit, where it is installed; its scribbles become clicks.

In: DAVIS 2017 with its scribbles, and weights. Out: the toolkit's report, and the summary of it.
"""

import json as json_format
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from sam2_jax.evaluation.davis_interactive import Interactions, summarize
from sam2_jax.evaluation.published import published
from sam2_jax.media.files import replacing
from sam2_jax.media.paths import local_path
from scripts.command import NANO, Dtype, Weights, console

_SECONDS_PER_OBJECT = 30  # of an interaction
_MOST_CLICKS = 3  # of an object, from as many scribbles


def davis_official(
    davis: Path,
    out: Path,
    weights: Weights = NANO,
    interactions: int = 8,
    subset: str = "val",
    image_size: int | None = None,
    dtype: Dtype | None = None,
    json: bool = False,
) -> dict[str, Any]:
    """Plays the interactive benchmark of the package davisinteractive, with a click on each of its scribbles.

    Args:
        davis: The folder of DAVIS 2017, with JPEGImages, Annotations and Scribbles.
        weights: nano, which comes along, or a published .pt, a .safetensors file or folder, an Orbax directory.
        out: The folder for the toolkit's report and summary.json.
        interactions: How many there are.
        subset: Of DAVIS.
        image_size: The side that frames are resized to, a multiple of 32; the model's own without it.
        dtype: The type to compute in; the model's own without it.
        json: Print the summary as JSON.
    """
    for folder in ("JPEGImages", "Annotations", "Scribbles"):
        if not (davis / folder).is_dir():
            raise FileNotFoundError(f"There is no folder {davis / folder}; expected DAVIS 2017 with its scribbles.")
    session_type = _toolkit()
    import sam2_jax  # loads jax

    out = local_path(out, "--out")
    out.mkdir(parents=True, exist_ok=True)
    predictor = sam2_jax.SAM2VideoPredictor(*sam2_jax.load(weights, image_size, dtype), non_overlap_masks=True)
    state = None
    with session_type(
        host="localhost",
        davis_root=str(davis),
        subset=subset,
        max_time=interactions * _SECONDS_PER_OBJECT,
        max_nb_interactions=interactions,
        metric_to_optimize="J_AND_F",
        report_save_dir=str(out),
    ) as toolkit:
        while toolkit.next():
            video, scribbles, is_new = toolkit.get_scribbles(only_last=True)
            if is_new:
                state = predictor.init_state(davis / "JPEGImages" / "480p" / video)
            _click(predictor, state, scribbles["scribbles"])
            toolkit.submit_masks(_carry(predictor, state))
        report = toolkit.get_report()
    told = summarize(interactions_of(report.to_dict("records")), interactions, _SECONDS_PER_OBJECT)
    with replacing(out / "summary.json") as file:
        file.write(json_format.dumps(told, indent=2).encode())
    if json:
        print(json_format.dumps(told, indent=2))
        return told
    table = Table("", "ours", "the paper's B+")
    for row in published("davis"):
        table.add_row(row.metric, f"{told[row.metric]:.3f}", f"{row.value:g}")
    console.print(table)
    return told


def interactions_of(report: list[dict[str, Any]]) -> list[Interactions]:
    """The toolkit's report, a row for each video, annotator, interaction, object and frame, for the summary."""
    samples: dict[tuple, dict[int, dict[int, list[float]]]] = {}
    seconds: dict[tuple, dict[int, float]] = {}
    for row in report:
        sample = row["sequence"], row["scribble_idx"]
        objects = samples.setdefault(sample, {}).setdefault(int(row["interaction"]), {})
        objects.setdefault(int(row["object_id"]), []).append(float(row["j_and_f"]))
        seconds.setdefault(sample, {})[int(row["interaction"])] = float(row["timing"])
    clips = []
    for sample, done in samples.items():
        order = sorted(done)
        by_object = [[np.mean(values) for _, values in sorted(done[number].items())] for number in order]
        clips.append(Interactions(np.array(by_object), np.array([seconds[sample][number] for number in order]), []))
    return clips


def clicks_of(
    scribbles: list[list[dict]], size: tuple[int, int]
) -> tuple[int, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """The frame that scribbles are on, and by object the clicks they stand for: points (N, 2) pixels and labels (N,).

    A click is on the point of a scribble that is nearest to the middle of it. It is foreground for its own object, and
    background for each other one that has a scribble (the second strategy of CiVOS).

    Args:
        scribbles: of each frame, scribbles with an ``object_id``, 0 for the background, and a ``path`` of (x, y), 0
            to 1.
        size: (H, W), pixels.
    """
    frame = next(index for index in reversed(range(len(scribbles))) if scribbles[index])
    middles: dict[int, list[np.ndarray]] = {}
    for scribble in scribbles[frame]:
        path = np.array(scribble["path"], np.float32)
        middle = path[np.square(path - path.mean(0)).sum(1).argmin()] * (np.array(size[::-1]) - 1)
        middles.setdefault(int(scribble["object_id"]), []).append(middle)
    middles = {number: points[:_MOST_CLICKS] for number, points in middles.items()}
    clicks = {}
    for number, own in middles.items():
        others = [point for other, points in middles.items() if other != number for point in points]
        if number != 0:
            clicks[number] = np.array([*own, *others]), np.array([1] * len(own) + [0] * len(others))
    return frame, clicks


def _click(predictor, state, scribbles: list[list[dict]]) -> None:
    frame, clicks = clicks_of(scribbles, (state.video.height, state.video.width))
    for number, (points, labels) in clicks.items():
        predictor.add_new_points_or_box(state, frame, number, points, labels, clear_old_points=False)


def _carry(predictor, state) -> np.ndarray:
    """(T, H, W) int the objects' numbers on all frames, after the first prompted one and before it."""
    numbers = np.zeros((state.video.length, state.video.height, state.video.width), int)
    for reverse in (True, False):
        for frame, objects, logits in predictor.propagate_in_video(state, reverse=reverse):
            numbers[frame] = 0
            for number, mask in zip(objects, logits[:, 0] > 0):
                numbers[frame][mask] = number
    return numbers


def _toolkit():
    """The toolkit's session. It is of 2020 and knows names of NumPy that are gone; they are given back to it."""
    for name, kind in (("int", int), ("float", float)):
        if name not in vars(np):
            setattr(np, name, kind)
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid
    try:
        from davisinteractive.evaluation import EvaluationService
        from davisinteractive.session import DavisInteractiveSession
    except ImportError as missing:
        raise ValueError(
            f"The toolkit davisinteractive cannot be imported ({missing}); it is of 2020: install it with pip install "
            "--no-deps davisinteractive, and 'networkx<3', pandas, scikit-image, scikit-learn and absl-py beside it. "
            "The protocol davis needs none of it."
        ) from None
    # Its summary, which it makes at the end, fails with today's pandas; ours is made of its report.
    EvaluationService.summarize_report = lambda self, report: {}
    return DavisInteractiveSession
