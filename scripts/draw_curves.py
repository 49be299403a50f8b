# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.draw_curves RUN... --out PICTURE`: how runs of training went, one after the other.

In: folders of runs, in order; steps are counted on from one to the next. Out: one picture, with charts of loss and J.
"""

from pathlib import Path

import numpy as np
import tyro

from sam2_jax.evaluation.charts import line_chart
from sam2_jax.media import write_picture
from sam2_jax.media.paths import as_path
from scripts.command import console, run

_POINTS = 40  # of a curve
_CHARTS = {
    # Not the focal loss, and so not the sum: it is hundreds wherever an object is taken to be away, and hides the rest.
    "loss": {"loss/dice": "dice", "loss/iou": "IoU", "loss/occlusion": "occlusion"},
    "J": {
        "j/first_answer": "first answer",
        "j/last_click": "after the last click",
        "j/tracked": "tracked",
        "evaluation/j_first_frame": "held out, one click",
        "evaluation/j_tracked": "held out, tracked",
    },
}


def draw_curves(runs: tyro.conf.Positional[tuple[Path, ...]], out: Path) -> None:
    """Draws the loss and J of runs of training, one after the other.

    Args:
        runs: The folders of the runs, as given to python -m train --workdir, in order.
        out: The picture, a PNG.
    """
    if not runs:
        raise ValueError("There is no run; expected the folder of at least one.")
    records, first = [], 0
    for folder in runs:
        of_run = _read(as_path(folder))
        records += [record | {"step": first + record["step"]} for record in of_run]
        first += max(record["step"] for record in of_run)
    names = " and ".join(folder.name for folder in runs)
    charts = []
    for y_label, curves in _CHARTS.items():
        drawn = {name: _curve(records, key) for key, name in curves.items() if any(key in record for record in records)}
        charts.append(line_chart(drawn, f"Training, {names}", "steps", y_label))
    write_picture(out, np.concatenate(charts))
    console.print(f"{first} steps are drawn in {out}")


def _read(folder: Path) -> list[dict[str, float]]:
    from train.run_log import read_metrics  # loads TensorBoard's writer

    records = read_metrics(folder)
    if not records:
        raise ValueError(f"{folder / 'metrics.jsonl'} has no line yet.")
    return records


def _curve(records: list[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    """Steps and means: few enough points to be told apart, each of as many records."""
    found = np.array([(record["step"], record[key]) for record in records if record.get(key) is not None])
    parts = np.array_split(found, min(_POINTS, len(found)))
    return [float(part[:, 0].mean()) for part in parts], [float(part[:, 1].mean()) for part in parts]


if __name__ == "__main__":
    run(draw_curves)
