# SPDX-License-Identifier: Apache-2.0
"""Semi-supervised video object segmentation (sections 6.2 and 7): prompts on first frames, masks to hand in, J&F.

In: a data set and weights. Out: masks, objects.csv, summary.json, pictures.
"""

from typing import Any, Literal

from sam2_jax.evaluation.baselines import BASELINES
from sam2_jax.evaluation.masklets import summarize
from sam2_jax.evaluation.published import published
from sam2_jax.evaluation.submission import MaskWriter, layout_of
from scripts.evaluations.running import Run, draw_worst, open_data, rows_of, run_over_videos
from scripts.evaluations.summary import Summary, finish, means

_OBJECT_FILES = ("sa_v", "object_folders")  # data whose objects have files of their own


def vos(
    run: Run,
    prompt: Literal["mask", "box", "1-click", "3-click", "5-click"] = "mask",
    masks: Literal["palette", "objects", "none"] | None = None,
    hard_prompts: bool | None = None,
    baseline: Literal["first-mask", "colours"] | None = None,
) -> dict[str, Any]:
    """Carries objects through videos from a prompt on the first frame of each, and scores them.

    Args:
        prompt: What is given on the first frame of an object: its mask, the box around it, or clicks.
        masks: How predictions are handed in, in OUT/masks: palette, a PNG for each frame (DAVIS, MOSE, YouTube-VOS,
            LVOS, VOST); objects, a PNG for each object and frame, which may overlap (SA-V); none. Without it, as the
            data have theirs, as far as a palette has room.
        hard_prompts: Remember masks that were prompted as hard ones. Without it, as published: clicked ones only.
        baseline: No model at all, to have something to compare with: each first mask, left where it was; or the pixels
            whose colours are likelier in that mask than outside it.
    """
    from sam2_jax.evaluation.model_session import ModelSession  # loads jax
    from sam2_jax.evaluation.vos import evaluate_vos, score_masks

    if baseline is not None and prompt != "mask":
        raise ValueError(f"--baseline {baseline} starts from masks; expected --prompt mask, not {prompt}.")
    source = open_data(run.data)
    own_files = source.name in _OBJECT_FILES
    hard = prompt != "mask" if hard_prompts is None else hard_prompts

    def evaluate(model, params, clip, threads):
        layout = masks or ("objects" if own_files else layout_of(clip))
        write = None if masks == "none" else MaskWriter(run.folder / "masks", clip, layout)
        overlap = layout == "objects"
        if baseline is None:
            session = ModelSession(model, params, clip, hard_prompts=hard, one_pass=True, limits=run.limits())
            carried = evaluate_vos(session, clip, threads, prompt, overlap, run.counting(), write)
        else:
            carried = score_masks(BASELINES[baseline](clip, overlap), clip, threads, run.counting(), write)
        draw_worst(run.folder / "worst", clip, carried.worst)
        scored = zip(carried.scores, 100 * carried.presence)
        return {"rows": rows_of(clip, [score and summarize([score]) | {"presence": there} for score, there in scored])}

    settings = dict(prompt=prompt, masks=masks, hard_prompts=hard, baseline=baseline)
    records, failed = run_over_videos("vos", settings, run, source, evaluate)
    rows = [row for record in records for row in record["rows"]]
    title = f"{source.name}, prompted with a {prompt}" + ("" if baseline is None else f", without a model: {baseline}")
    metrics = means(rows) | _seen_and_unseen(rows)
    paper = published("vos", source.name, prompt) if baseline is None else ()
    return finish(run, Summary(title, metrics, "J&F", rows, failed, paper))


def _seen_and_unseen(rows) -> dict[str, float]:
    """G of YouTube-VOS and LVOS, where the data tell which categories were seen in training."""
    seen, unseen = ([row for row in rows if row["facts"].get("seen") is value] for value in (True, False))
    if not seen or not unseen:
        return {}
    values = {
        f"{name} {kind}": means(some)[name] for kind, some in (("seen", seen), ("unseen", unseen)) for name in "JF"
    }
    return {"G": sum(values.values()) / 4} | values
