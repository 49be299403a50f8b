# SPDX-License-Identifier: Apache-2.0
"""The DAVIS interactive benchmark (section F.2) with clicks, without its server: AUC-J&F and J&F after 60 seconds.

In: a data set and weights. Out: objects.csv, summary.json, the curve of accuracy over time.
"""

from typing import Any

from sam2_jax.evaluation.published import published
from sam2_jax.media import write_picture
from scripts.evaluations.running import Run, open_data, rows_of, run_over_videos
from scripts.evaluations.summary import Summary, finish


def davis(run: Run, interactions: int = 8, clicks: int = 3, seconds_per_object: float = 30.0) -> dict[str, Any]:
    """Clicks on all objects of the worst frame, again and again, against the clock.

    Args:
        interactions: How many frames are clicked on.
        clicks: How often on each object.
        seconds_per_object: How long an interaction may take; the time of all of them is what the area is divided by.
    """
    import numpy as np

    from sam2_jax.evaluation.charts import line_chart
    from sam2_jax.evaluation.davis_interactive import Interactions, interact, summarize
    from sam2_jax.evaluation.model_session import ModelSession  # loads jax

    source, warm = open_data(run.data), set()

    def evaluate(model, params, clip, threads):
        arguments = clip, threads, interactions, clicks, seconds_per_object
        shape = clip.size, len(clip.objects)
        if shape not in warm:  # programs are compiled once, and no user waits for that
            interact(ModelSession(model, params, clip, limits=run.limits()), *arguments, clock=lambda: 0.0)
            warm.add(shape)
        done = interact(ModelSession(model, params, clip, limits=run.limits()), *arguments)
        scores = [
            {f"J&F {index}": 100 * float(value) for index, value in enumerate(values, start=1)} or None
            for values in done.j_and_f.T
        ]
        told = dict(j_and_f=done.j_and_f.tolist(), seconds=done.seconds.tolist(), frames=done.frames)
        rows = rows_of(clip, [score and {"J&F": list(score.values())[-1], **score} for score in scores])
        return {"rows": rows, **told, "objects": len(clip.objects)}

    settings = dict(interactions=interactions, clicks=clicks, seconds_per_object=seconds_per_object)
    records, failed = run_over_videos("davis", settings, run, source, evaluate)
    done = [
        Interactions(np.reshape(r["j_and_f"], (-1, r["objects"])), np.array(r["seconds"]), r["frames"]) for r in records
    ]
    result = summarize(done, interactions, seconds_per_object)
    curve = result.pop("seconds"), [100 * value for value in result.pop("J&F")]
    title = f"{source.name}, {clicks} clicks on each object of the worst frame"
    write_picture(run.folder / "accuracy_over_time.png", line_chart({source.name: curve}, title, "seconds", "J&F"))
    rows = [row for record in records for row in record["rows"]]
    paper = published("davis", source.name)
    return finish(run, Summary(title, result, "J&F", rows, failed, paper, {"seconds": curve}))
