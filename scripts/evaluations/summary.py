# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind, and what is shown of it: objects.csv, summary.json, pictures and a table.

In: rows of objects and the means. Out: files in the run's folder; a table with the paper's numbers beside ours.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from sam2_jax.evaluation.breakdown import by_column
from sam2_jax.evaluation.published import Published
from sam2_jax.media import read_picture, write_picture
from sam2_jax.media.files import replacing
from sam2_jax.media.overlays import contact_sheet
from scripts.command import console
from scripts.evaluations.running import RunArguments

_WORST = 12  # pictures of a sheet
_COLUMNS = ("size", "disappears", "length")


@dataclasses.dataclass(frozen=True)
class Summary:
    """One run's result.

    Attributes:
        title: of the table.
        metrics: means by name.
        metric: the one that objects are compared and broken down by.
        rows: of objects or masks, with ``facts``.
        failed: by video, why it has no results.
        paper: numbers to show beside.
        curves: what a chart was drawn of, by name: x and y.
    """

    title: str
    metrics: dict[str, float]
    metric: str
    rows: list[dict[str, Any]]
    failed: dict[str, str]
    paper: Sequence[Published] = ()
    curves: dict[str, tuple[list[float], list[float]]] = dataclasses.field(default_factory=dict)


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean over rows of every score they have.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("No object was scored; the first and the last annotated frame do not count by these rules.")
    names = [name for name, value in rows[0].items() if isinstance(value, int | float) and name not in _NOT_SCORES]
    return {name: float(np.mean([row[name] for row in rows])) for name in names}


_NOT_SCORES = ("object", "frame", "frames")


def finish(run: RunArguments, summary: Summary) -> dict[str, Any]:
    """Writes the summary's files, prints it, and gives what summary.json holds.

    Raises:
        ValueError: some videos failed; they are named, and what is done stays.
    """
    told = {
        "title": summary.title,
        "objects": len(summary.rows),
        "metrics": summary.metrics,
        "metric": summary.metric,
        "by": _breakdown(summary, run.by),
        "paper": [dataclasses.asdict(row) for row in summary.paper],
        "curves": summary.curves,
        "failed": summary.failed,
    }
    with replacing(run.folder / "summary.json") as file:
        file.write(json.dumps(told, indent=2).encode())
    write_rows(run.folder / "objects.csv", summary.rows)
    _draw_sheet(run.folder, summary)
    if run.json:
        print(json.dumps(told, indent=2))
    else:
        show(told)
    if summary.failed:
        name, why = next(iter(summary.failed.items()))
        raise ValueError(
            f"{len(summary.failed)} video(s) failed and are not in the numbers above, the first of them {name}: {why} "
            "The results of the others are kept; the same command tries these again."
        )
    return told


def show(told: dict[str, Any]) -> None:
    """The table of a summary."""
    table = Table("", "ours", title=f"{told['title']}, {told['objects']} rows")
    for name, value in told["metrics"].items():
        table.add_row(name, f"{value:.2f}")
    console.print(table)
    for column, groups in told["by"].items():
        table = Table(column, f"mean {told['metric']}", "rows")
        for value, (mean, count) in groups.items():
            table.add_row(value, f"{mean:.1f}", str(count))
        console.print(table)
    if told["paper"]:
        note = "the same data" if told["paper"][0]["comparable"] else "other data: not to be compared, only a range"
        table = Table("the paper", "model", "metric", "value", "where", caption=note)
        for row in told["paper"]:
            table.add_row(row["data"], row["model"], row["metric"], f"{row['value']:g}", row["where"])
        console.print(table)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A line for each row, facts and all; the file appears whole or not at all."""
    flat = [{**{k: v for k, v in row.items() if k != "facts"}, **row.get("facts", {})} for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(flat)
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def _breakdown(summary: Summary, columns: Sequence[str]) -> dict[str, dict[str, tuple[float, int]]]:
    """By all columns that were asked for; of those that are computed anyway, by the ones that tell objects apart."""
    flat = [{**row["facts"], summary.metric: row[summary.metric]} for row in summary.rows]
    found = {column: by_column(flat, column, summary.metric) for column in dict.fromkeys((*columns, *_COLUMNS))}
    return {column: groups for column, groups in found.items() if column in columns or len(groups) > 1}


def _draw_sheet(out: Path, summary: Summary) -> None:
    """The worst masks of the worst videos, side by side."""
    lowest: dict[str, float] = {}
    for row in summary.rows:
        lowest[row["video"]] = min(lowest.get(row["video"], np.inf), row[summary.metric])
    worst = [name for name in sorted(lowest, key=lowest.__getitem__) if (out / "worst" / f"{name}.png").exists()]
    if worst:
        pictures = [read_picture(out / "worst" / f"{name}.png") for name in worst[:_WORST]]
        captions = [f"{name} {lowest[name]:.0f}" for name in worst[:_WORST]]
        write_picture(out / "worst.png", contact_sheet(pictures, captions=captions))
