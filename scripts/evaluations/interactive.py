# SPDX-License-Identifier: Apache-2.0
"""Interactive segmentation (sections 6.1 and F.1.2), offline and online: accuracy over frames, and over time.

In: a data set and weights. Out: objects.csv, summary.json, curves and pictures.
"""

from typing import Any

import numpy as np

from sam2_jax.evaluation.masklets import summarize
from sam2_jax.evaluation.published import published
from sam2_jax.media import write_picture
from scripts.evaluations.running import Run, draw_worst, open_data, rows_of, run_over_videos
from scripts.evaluations.summary import Summary, finish, means


def offline(run: Run, rounds: int = 8, clicks: int = 3) -> dict[str, Any]:
    """Several passes through each video: after each, clicks on the worst frame of each object.

    Args:
        rounds: How many frames are clicked on.
        clicks: How often on each.
    """
    return _interactive("offline", run, rounds, clicks, {})


def online(run: Run, rounds: int = 8, clicks: int = 3, least_iou: float = 0.75) -> dict[str, Any]:
    """One pass through each video: where an object's IoU falls too low, clicks on that frame, and on from there.

    Args:
        rounds: How many frames are clicked on at most; the scores of fewer are given too.
        clicks: How often on each.
        least_iou: The IoU below which the video is paused.
    """
    return _interactive("online", run, rounds, clicks, dict(least_iou=least_iou))


def _interactive(mode: str, run: Run, rounds: int, clicks: int, settings: dict) -> dict[str, Any]:
    from sam2_jax.evaluation import interactive  # loads jax
    from sam2_jax.evaluation.charts import line_chart
    from sam2_jax.evaluation.model_session import ModelSession

    source = open_data(run.data)

    def evaluate(model, params, clip, threads):
        session = ModelSession(model, params, clip, limits=run.limits())
        play = getattr(interactive, mode)
        result = play(session, clip, threads, rounds=rounds, clicks=clicks, rules=run.counting(), **settings)
        draw_worst(run.folder / "worst", clip, result.worst)
        scores = []
        for place, prompted in enumerate(result.prompted):
            by_round = [scores[place] for scores in result.scores]
            if by_round[0] is None:
                scores.append(None)
                continue
            row = {"J&F": 0.0} | {f"J&F {r}": summarize([score])["J&F"] for r, score in enumerate(by_round, start=1)}
            row["J"] = float(np.mean([summarize([score])["J"] for score in by_round]))
            row["J&F"] = float(np.mean([row[f"J&F {r}"] for r in range(1, rounds + 1)]))
            scores.append({**row, "frames clicked on": len(prompted), "prompted": prompted})
        seconds = [interactive.annotation_seconds(clip.length, r, clicks, mode) for r in range(1, rounds + 1)]
        return {"rows": rows_of(clip, scores), "seconds": seconds}

    protocol = dict(rounds=rounds, clicks=clicks, **settings)
    records, failed = run_over_videos(mode, protocol, run, source, evaluate)
    rows = [row for record in records for row in record["rows"]]
    metrics, counts = means(rows), np.arange(1, rounds + 1)
    accuracy = [metrics[f"J&F {r}"] for r in counts]
    # The time of an object is that of its video.
    weights = [len(record["rows"]) for record in records]
    seconds = np.average([record["seconds"] for record in records], axis=0, weights=weights).tolist()
    deviation = np.std([[row[f"J&F {r}"] for r in counts] for row in rows], axis=0) / np.sqrt(len(rows))
    name = f"{source.name}, {mode}"
    band = {name: (np.subtract(accuracy, 1.96 * deviation), np.add(accuracy, 1.96 * deviation))}
    title = f"{name}: {clicks} clicks on each frame"
    for file, x, label in (
        ("rounds", counts.tolist(), "frames clicked on"),
        ("time", seconds, "seconds of annotation"),
    ):
        picture = line_chart({name: (x, accuracy)}, title, label, "J&F", band)
        write_picture(run.folder / f"accuracy_over_{file}.png", picture)
    curves = {"frames clicked on": (counts.tolist(), accuracy), "seconds of annotation": (seconds, accuracy)}
    metrics = {"J&F": metrics.pop("J&F"), "seconds of annotation": seconds[-1], **metrics}
    return finish(run, Summary(title, metrics, "J&F", rows, failed, published(mode, source.name), curves))
