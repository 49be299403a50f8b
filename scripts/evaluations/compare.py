# SPDX-License-Identifier: Apache-2.0
"""Two runs side by side: how far apart they are, and how sure that is.

In: the folders of two runs of one protocol on the same data. Out: a table, or JSON.
"""

import csv
import io
import json as json_format
from pathlib import Path
from typing import Any

import tyro
from rich.table import Table

from sam2_jax.evaluation.breakdown import compare as compare_rows
from sam2_jax.media.paths import as_path
from scripts.command import console

_INTERVAL = "interval of 95%"


def compare(
    first: tyro.conf.Positional[Path], second: tyro.conf.Positional[Path], seed: int = 0, json: bool = False
) -> dict[str, dict[str, float]]:
    """Compares two runs on the objects they have in common.

    Args:
        first: The folder of a run.
        second: The folder of another run of the same protocol.
        seed: Of the videos that are drawn for the intervals.
        json: Print the numbers as JSON.
    """
    first, second = as_path(first), as_path(second)
    settings = [_read(folder / "run.json", folder) for folder in (first, second)]
    protocols = [told["protocol"] for told in settings]
    if protocols[0] != protocols[1]:
        raise ValueError(
            f"{first} holds a run of {protocols[0]}, {second} one of {protocols[1]}; expected one protocol."
        )
    summaries = [_read(folder / "summary.json", folder) for folder in (first, second)]
    rows = [_rows(folder / "objects.csv") for folder in (first, second)]
    columns = set(rows[0][0]) & set(rows[1][0])
    metrics = [name for name in summaries[0]["metrics"] if name in summaries[1]["metrics"] and name in columns]
    if not metrics:
        raise ValueError(f"{first} and {second} have no score of objects in common.")
    result = {name: compare_rows(*rows, name, seed) for name in metrics}
    if json:
        print(json_format.dumps(result, indent=2))
        return result
    told = next(iter(result.values()))
    title = f"{protocols[0]}, {told['rows']} rows of {told['videos']} videos"
    table = Table("", first.name, second.name, "difference", _INTERVAL, "", title=title)
    for name, row in result.items():
        sure = row["low"] > 0 or row["high"] < 0
        table.add_row(
            name,
            f"{row['first']:.2f}",
            f"{row['second']:.2f}",
            f"{row['difference']:+.2f}",
            f"{row['low']:+.2f} to {row['high']:+.2f}",
            "*" if sure else "",
        )
    console.print(table)
    return result


def _read(path: Path, folder: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no finished run; there is no {path.name} in it.")
    return json_format.loads(path.read_text())


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(path.read_text()))
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(text: str) -> float | str | None:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text
