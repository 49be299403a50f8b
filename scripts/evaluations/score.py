# SPDX-License-Identifier: Apache-2.0
"""J&F of a folder of predicted masks, as the evaluators of SA-V and DAVIS 2017 give it.

In: a folder of predicted masks and one of true ones. Out: a table, JSON, a CSV file with a line for each object.
"""

import csv as csv_format
import io
import json as json_format
import os
from pathlib import Path
from typing import Literal

from rich.progress import track
from rich.table import Table

from sam2_jax.evaluation.masklets import MaskletScore, Rules, summarize, summarize_seen_and_unseen
from sam2_jax.evaluation.scoring import find_videos, score_videos
from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path
from scripts.command import console

Scores = dict[tuple[str, str], MaskletScore]  # of each (video, object)


def score(
    predictions: Path,
    truth: Path,
    rules: Literal["sa-v", "davis2017"] = "sa-v",
    strict: bool = False,
    keep_first_and_last: bool = False,
    unseen: Path | None = None,
    csv: Path | None = None,
    processes: int | None = None,
    json: bool = False,
) -> None:
    """Scores predicted masks against true ones: J, F and J&F, means over objects, in percent.

    Both folders hold a folder for each video, and this a PNG for each frame with the objects' numbers, or a folder for
    each object with a PNG for each frame. Predictions for frames without truth are not looked at.

    Args:
        predictions: The folder of predicted masks.
        truth: The folder of true masks, such as sav_val/Annotations_6fps.
        rules: Which objects count: sa-v, those of the truth, from their first appearance; davis2017, those of the first
            frame, on every frame (as VOST does, too).
        strict: Every video must be in both folders; otherwise those are scored that are.
        keep_first_and_last: Count the first and the last annotated frame too.
        unseen: A text file of the objects of unseen categories, a line VIDEO or VIDEO/OBJECT for each; the scores of
            YouTube-VOS and LVOS are given too: J and F of seen and of unseen objects, and G, their mean.
        csv: A file to write the score of each object to.
        processes: How many videos are scored at a time; as many as there are processors without it.
        json: Print the scores, and those of each object, as JSON.
    """
    if unseen is not None and not unseen.is_file():
        raise FileNotFoundError(f"There is no file {unseen}; expected the objects of unseen categories.")
    if csv is not None and not csv.parent.is_dir():
        raise FileNotFoundError(f"The folder {csv.parent} of --csv does not exist.")
    videos = find_videos(predictions, truth, strict)
    counting = Rules(keep_first_and_last, first_frame_objects=rules == "davis2017")
    results = score_videos(videos, predictions, truth, counting, processes or os.cpu_count() or 1)
    scores = {
        (video, name): masklet
        for video, masklets in track(results, "scoring", len(videos), console=console)
        for name, masklet in masklets.items()
    }
    if not scores:
        raise ValueError(f"No object of {truth} is on a frame that counts; the first and the last annotated may not.")
    summary = summarize(scores.values())
    if unseen is not None:
        summary |= _seen_and_unseen(scores, unseen)
    if csv is not None:
        _write_csv(csv, scores)
    if json:
        rows = [dict(video=video, object=name) | _row(masklet) for (video, name), masklet in scores.items()]
        print(json_format.dumps(dict(videos=len(videos), objects=len(scores), **summary, per_object=rows), indent=2))
        return
    table = Table("", "percent", title=f"{len(scores)} objects of {len(videos)} videos, rules of {rules}")
    for name, value in summary.items():
        table.add_row(name, f"{value:.1f}")
    console.print(table)


def _row(masklet: MaskletScore) -> dict[str, float]:
    return summarize([masklet]) | {"frames": len(masklet.j)}


def _seen_and_unseen(scores: Scores, file: Path) -> dict[str, float]:
    unseen = set(as_path(file).read_text().split())
    known = {video for video, _ in scores} | {f"{video}/{name}" for video, name in scores}
    if unseen - known:
        raise ValueError(f"{file} names {min(unseen - known)}, which has no score; expected VIDEO or VIDEO/OBJECT.")
    is_unseen = {key: key[0] in unseen or "/".join(key) in unseen for key in scores}
    return summarize_seen_and_unseen(
        seen=[masklet for key, masklet in scores.items() if not is_unseen[key]],
        unseen=[masklet for key, masklet in scores.items() if is_unseen[key]],
    )


def _write_csv(path: Path, scores: Scores) -> None:
    """A line for each object, after one for all of them; a file that appears whole or not at all."""
    text = io.StringIO(newline="")
    rows = [dict(video="all", object="") | summarize(scores.values()) | {"frames": ""}]
    rows += [dict(video=video, object=name) | _row(masklet) for (video, name), masklet in scores.items()]
    writer = csv_format.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
