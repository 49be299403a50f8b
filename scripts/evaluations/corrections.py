# SPDX-License-Identifier: Apache-2.0
"""What a correction is worth: objects that tracking lost, before and after clicks on the frame where they were lost.

In: a data set and weights. Out: objects.csv, summary.json.
"""

from typing import Any, Literal

from scripts.evaluations.running import Run, open_data, rows_of, run_over_videos
from scripts.evaluations.summary import Summary, finish, means


def corrections(
    run: Run, prompt: Literal["mask", "box", "1-click", "3-click", "5-click"] = "mask", clicks: int = 1
) -> dict[str, Any]:
    """Clicks where an object was lost first (J under 0.5), carries on, and scores the frames after that one.

    Those whose J&F there is under 50 without the clicks stay lost, and are told apart.

    Args:
        prompt: What is given on the first frame of an object.
        clicks: How many there are on the frame where it was lost.
    """
    from sam2_jax.evaluation.corrections import LOST, correct  # loads jax
    from sam2_jax.evaluation.model_session import ModelSession

    source = open_data(run.data)

    def evaluate(model, params, clip, threads):
        session = ModelSession(model, params, clip, hard_prompts=prompt != "mask", limits=run.limits())
        return {"rows": rows_of(clip, [_row(found) for found in correct(session, clip, threads, prompt, clicks)])}

    records, failed = run_over_videos("corrections", dict(prompt=prompt, clicks=clicks), run, source, evaluate)
    rows = [row for record in records for row in record["rows"]]
    if not rows:
        raise ValueError(f"No object of {source.name} was lost, so nothing was corrected.")
    title = f"{source.name}, {clicks} click(s) where an object was lost, prompted with a {prompt}"
    # Many come back by themselves, and then a click has little to give.
    stay_lost = [row for row in rows if row["J&F before"] < 100 * LOST]
    metrics = means(rows) | {"stay lost": len(stay_lost)}
    if stay_lost:
        metrics["gain of these"] = means(stay_lost)["gain"]
    return finish(run, Summary(title, metrics, "gain", rows, failed))


def _row(correction) -> dict[str, Any] | None:
    if correction is None:
        return None
    before, after = 100 * correction.before, 100 * correction.after
    return {"gain": after - before, "J&F before": before, "J&F after": after, "frame": correction.frame}
