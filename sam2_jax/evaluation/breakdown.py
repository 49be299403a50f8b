# SPDX-License-Identifier: Apache-2.0
"""Where a model is good and where it is not: scores by what is known of videos and objects, and two runs side by side.

In: rows, one for each object (or mask), with its scores and facts. Out: means by the values of a column (Table 13);
differences with confidence intervals. No jax.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sam2_jax.evaluation.clips import Clip

_SIZES = (0.01, 0.1)  # of the frame
_LENGTHS = (100, 300)  # frames
_MOST_VALUES = 12  # of a column of numbers; more are put into quarters
RESAMPLES = 10_000


def facts_of(clip: Clip) -> list[dict[str, Any]]:
    """What is known of each object of a clip: all facts its source tells, and three that are computed.

    ``size``, its part of the frame where it is in sight; ``disappears``, whether it goes out of sight and comes back;
    ``length``, of the video.
    """
    height, width = clip.size
    areas = np.bitwise_count(clip.packed).sum((2, 3), dtype=np.int64)  # (A, O)
    seen = areas > 0
    share = areas.sum(0) / np.maximum(seen.sum(0), 1) / (height * width)
    before = np.cumsum(seen, axis=0) > 0
    after = np.cumsum(seen[::-1], axis=0)[::-1] > 0
    disappears = (before & after & ~seen).any(0)
    length = _class(clip.length, _LENGTHS, ("under 100 frames", "100 to 300 frames", "over 300 frames"))
    return [
        {
            **clip.of_video,
            **{name: values[place] for name, values in clip.of_objects.items()},
            "size": _class(share[place], _SIZES, ("under 1%", "1% to 10%", "over 10%")),
            "disappears": "yes" if disappears[place] else "no",
            "length": length,
        }
        for place in range(len(clip.objects))
    ]


def by_column(rows: Sequence[Mapping[str, Any]], column: str, metric: str) -> dict[str, tuple[float, int]]:
    """The mean of a metric, and the number of rows, for each value of a column.

    Numbers of many values are put into quarters. Rows without the column, or without the metric, are left out.

    Raises:
        ValueError: no row has the column.
    """
    rows = [row for row in rows if row.get(column) is not None and row.get(metric) is not None]
    if not rows:
        raise ValueError(f"No object has the fact {column!r} and the score {metric!r}.")
    values = [row[column] for row in rows]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric and len(set(values)) > _MOST_VALUES:
        edges = np.quantile(values, [0.25, 0.5, 0.75])
        names = (f"under {edges[0]:g}", f"{edges[0]:g} to {edges[1]:g}", f"{edges[1]:g} to {edges[2]:g}")
        values = [_class(value, edges, (*names, f"{edges[2]:g} and more")) for value in values]
    groups: dict[Any, list[float]] = {}
    for value, row in zip(values, rows):
        groups.setdefault(value, []).append(row[metric])
    order = sorted(groups, key=lambda value: (isinstance(value, str), value))
    return {str(value): (float(np.mean(groups[value])), len(groups[value])) for value in order}


def compare(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], metric: str, seed: int = 0
) -> dict[str, float]:
    """Two runs on the same objects: the means, their difference, and its interval of 95%.

    Videos are drawn with replacement, all objects of one together, as objects of a video are alike.

    Args:
        first, second: rows with ``video`` and ``object`` (and ``frame``, where rows are masks).

    Raises:
        ValueError: they have no object in common.
    """

    def keyed(rows):
        return {(r["video"], r["object"], r.get("frame")): r[metric] for r in rows if r.get(metric) is not None}

    ours, theirs = keyed(first), keyed(second)
    common = sorted(ours.keys() & theirs.keys(), key=str)
    if not common:
        raise ValueError(f"The runs have no object with the score {metric!r} in common.")
    videos = {video: index for index, video in enumerate(sorted({key[0] for key in common}))}
    index = np.array([videos[key[0]] for key in common])
    pairs = np.array([[ours[key], theirs[key]] for key in common])
    sums = np.stack([np.bincount(index, weights=pairs[:, side], minlength=len(videos)) for side in (0, 1)])
    counts = np.bincount(index, minlength=len(videos))
    drawn = np.random.default_rng(seed).multinomial(len(videos), np.full(len(videos), 1 / len(videos)), RESAMPLES)
    means = (drawn @ sums.T) / (drawn @ counts)[:, None]
    low, high = np.quantile(means[:, 1] - means[:, 0], [0.025, 0.975])
    return {
        "first": float(pairs[:, 0].mean()),
        "second": float(pairs[:, 1].mean()),
        "difference": float((pairs[:, 1] - pairs[:, 0]).mean()),
        "low": float(low),
        "high": float(high),
        "rows": len(common),
        "videos": len(videos),
    }


def _class(value: float, edges: Sequence[float], names: Sequence[str]) -> str:
    return names[int(np.searchsorted(edges, value, side="right"))]
