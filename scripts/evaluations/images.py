# SPDX-License-Identifier: Apache-2.0
"""The Segment Anything task (section 6.3): mIoU after 1 to 5 clicks on each object of a picture.

In: pictures, or videos whose frames are taken as pictures, and weights. Out: objects.csv, summary.json, pictures.
"""

from typing import Any

from sam2_jax.evaluation.clip_scores import WorstMask
from sam2_jax.evaluation.published import published
from sam2_jax.evaluation.session import masks_of
from sam2_jax.media import write_picture
from scripts.evaluations.running import Run, draw_worst, open_data, run_over_videos
from scripts.evaluations.summary import Summary, finish, means


def images(run: Run, clicks: int = 5, every: int = 1) -> dict[str, Any]:
    """Clicks on objects in pictures, the first at the centre of the mask, each other one at the centre of the error.

    Args:
        clicks: How many.
        every: Of a video, each so many-th annotated frame.
    """
    from sam2_jax.evaluation.breakdown import facts_of
    from sam2_jax.evaluation.charts import line_chart
    from sam2_jax.evaluation.images import SAM2OnPictures, evaluate_pictures  # loads jax

    source = open_data(run.data, pictures=True)

    def evaluate(model, params, clip, threads):
        answer = evaluate_pictures(SAM2OnPictures(model, params), clip, clicks, every)
        which, logits = answer.worst
        place, frame = int(answer.places[which]), int(answer.frames[which])
        mask = masks_of(logits[None], clip.size)[0]
        draw_worst(run.folder / "worst", clip, WorstMask(place, frame, mask, float(answer.ious[which, -1])))
        facts = facts_of(clip)
        rows = [
            {"video": clip.name, "object": clip.objects[place], "frame": int(frame)}
            | {_name(click): 100 * float(iou) for click, iou in enumerate(ious, start=1)}
            | {"facts": facts[place]}
            for frame, place, ious in zip(answer.frames, answer.places, answer.ious)
        ]
        return {"rows": rows}

    records, failed = run_over_videos("images", dict(clicks=clicks, every=every), run, source, evaluate)
    rows = [row for record in records for row in record["rows"]]
    metrics = means(rows)
    counts, title = list(range(1, clicks + 1)), f"{source.name}, clicks on pictures"
    curve = counts, [metrics[_name(click)] for click in counts]
    write_picture(run.folder / "accuracy_over_clicks.png", line_chart({source.name: curve}, title, "clicks", "mIoU"))
    paper = published("images", source.name)
    return finish(run, Summary(title, metrics, _name(clicks), rows, failed, paper, {"clicks": curve}))


def _name(clicks: int) -> str:
    return f"mIoU {clicks} click{'s' if clicks > 1 else ''}"
