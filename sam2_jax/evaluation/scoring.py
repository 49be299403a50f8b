# SPDX-License-Identifier: Apache-2.0
"""A folder of predicted masks against a folder of true ones, as the published evaluator of SA-V takes them.

In: two folders of one layout, a folder for each video in them. Palette layout: VIDEO/FRAME.png, the value of a pixel is
the number of its object (DAVIS, MOSE, YouTube-VOS). Object layout: VIDEO/OBJECT/FRAME.png, one object in each picture
(SA-V). Out: a `MaskletScore` for each object of each video. No jax.
"""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from sam2_jax.evaluation.masklets import SA_V, MaskletScore, Rules, score_frames
from sam2_jax.media.paths import as_path
from sam2_jax.media.pictures import load_image


def find_videos(predictions: str | os.PathLike, truth: str | os.PathLike, strict: bool = False) -> list[str]:
    """The videos that are in both folders, in order.

    Args:
        strict: every video must be in both.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
        ValueError: no video is in both; or `strict`, and one is not.
    """
    predicted, true = _folders(as_path(predictions)), _folders(as_path(truth))
    if strict:
        for there, missing, folder in ((truth, true - predicted, predictions), (predictions, predicted - true, truth)):
            if missing:
                raise ValueError(f"{_some(missing)} of {there} is not in {folder}; expected every video in both.")
    if not true & predicted:
        raise ValueError(f"{predictions} and {truth} have no folder of one name; expected a folder for each video.")
    return sorted(true & predicted)


def score_videos(
    videos: list[str],
    predictions: str | os.PathLike,
    truth: str | os.PathLike,
    rules: Rules = SA_V,
    processes: int = 1,
) -> Iterator[tuple[str, dict[str, MaskletScore]]]:
    """Scores videos, each in a process, and gives them one by one in order: its name, and its objects' scores.

    Args:
        processes: how many videos are read and scored at a time; with 1, in this process.

    Raises:
        FileNotFoundError: the mask of a frame that counts, or all of an object's, was not predicted.
        ValueError: a folder has another layout; or a mask has another size, several objects or colours.
    """
    tasks = [(video, as_path(predictions), as_path(truth), rules) for video in videos]
    processes = min(processes, len(tasks))
    if processes <= 1:
        yield from map(_score_video, tasks)
        return
    # New processes, not forks: this one may have threads (JAX, the progress bar).
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield from pool.map(_score_video, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _score_video(task: tuple[str, Path, Path, Rules]) -> tuple[str, dict[str, MaskletScore]]:
    video, predictions, truth, rules = task
    truth, prediction = truth / video, predictions / video
    per_object = _has_objects(truth)
    if _has_objects(prediction) != per_object:
        came, expected = ("pictures", "folders") if per_object else ("folders", "pictures")
        raise ValueError(f"{prediction} holds {came}, {truth} {expected}; expected one layout in both.")
    if not per_object:
        scores = _score_folder(prediction, truth, rules, one_object=False)
        return video, {str(number): score for number, score in scores.items()}
    scores = {}
    for name in sorted(_folders(truth)):
        if not (prediction / name).is_dir():
            raise FileNotFoundError(f"There is no {prediction / name}; expected the masks of every object of {truth}.")
        of_object = _score_folder(prediction / name, truth / name, rules, one_object=True)
        if of_object:
            scores[name] = of_object[1]
    return video, scores


def _score_folder(prediction: Path, truth: Path, rules: Rules, one_object: bool) -> dict[int, MaskletScore]:
    frames = sorted(path.name for path in _entries(truth))
    others = [name for name in frames if not name.endswith(".png")]
    if others or not frames:
        raise ValueError(f"{truth} holds {others[0] if others else 'nothing'}; expected a PNG for each frame.")
    objects = rules.objects(_read(truth / frames[0], one_object))
    return score_frames(
        (_read_pair(prediction / name, truth / name, one_object) for name in rules.counted(frames)), objects
    )


def _read_pair(prediction: Path, truth: Path, one_object: bool) -> tuple[np.ndarray, np.ndarray]:
    if not prediction.is_file():
        raise FileNotFoundError(f"There is no {prediction}; expected a mask for every frame of {truth.parent}.")
    true, predicted = _read(truth, one_object), _read(prediction, one_object)
    if true.shape != predicted.shape:
        came, expected = "{1} x {0}".format(*predicted.shape), "{1} x {0}".format(*true.shape)
        raise ValueError(f"{prediction} is {came} pixels; expected the truth's {expected}.")
    return true, predicted


def _read(path: Path, one_object: bool) -> np.ndarray:
    """A mask file: the numbers of the objects (H, W), of any integer type; or, of one object, bool."""
    image = load_image(path)
    if len(image.getbands()) != 1 or image.mode == "F":
        raise ValueError(f"{path} is a picture in colours ({image.mode}); expected a grey or palette PNG.")
    numbers = np.asarray(image)
    if not one_object:
        return numbers.view(np.uint8) if numbers.dtype == bool else numbers
    mask = numbers != 0
    if (numbers[mask] != numbers.max()).any():
        raise ValueError(f"{path} has several objects; expected one, as the masks are in a folder for each object.")
    return mask


def _has_objects(video: Path) -> bool:
    """Whether a video's folder has a folder for each object; else it has a picture for each frame."""
    kinds = {path.is_dir() for path in _entries(video)}
    if len(kinds) != 1:
        holds = "both files and folders" if kinds else "nothing"
        raise ValueError(f"{video} holds {holds}; expected a PNG for each frame, or a folder for each object.")
    return kinds.pop()


def _folders(folder: Path) -> set[str]:
    return {path.name for path in _entries(folder) if path.is_dir()}


def _entries(folder: Path) -> list[Path]:
    if not folder.exists():
        raise FileNotFoundError(f"There is no folder {folder}.")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder.")
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _some(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
