# SPDX-License-Identifier: Apache-2.0
"""Every protocol in one command: what a model card says of a model.

In: videos, pictures and weights. Out: a folder for each protocol, and report.md with all numbers and pictures.
"""

import dataclasses
import json
from typing import Any

from sam2_jax.evaluation.baselines import BASELINES
from sam2_jax.media import write_picture
from sam2_jax.media.files import replacing
from scripts.command import console
from scripts.evaluations.corrections import corrections
from scripts.evaluations.davis import davis
from scripts.evaluations.images import images
from scripts.evaluations.interactive import offline, online
from scripts.evaluations.running import Run, open_data
from scripts.evaluations.speed import speed
from scripts.evaluations.vos import vos

_PROMPTS = ("1-click", "3-click", "5-click", "box", "mask")


def report(run: Run, pictures: str | None = None, rounds: int = 8, clicks: int = 3) -> None:
    """Runs every protocol and writes OUT/report.md. What was done before is not done again.

    Args:
        pictures: The pictures to click on, given as --data is; without it the frames of the videos are, every tenth.
        rounds: Of the interactive protocols.
        clicks: On each frame of the interactive protocols.
    """
    jobs = {f"vos_{prompt}": (vos, dict(prompt=prompt)) for prompt in _PROMPTS}
    jobs |= {f"vos_{baseline}": (vos, dict(baseline=baseline)) for baseline in BASELINES}
    jobs |= {protocol.__name__: (protocol, dict(rounds=rounds, clicks=clicks)) for protocol in (offline, online)}
    jobs |= {f"corrections_{prompt}": (corrections, dict(prompt=prompt)) for prompt in ("mask", "1-click")}
    jobs["davis"] = davis, dict(interactions=rounds, clicks=clicks)
    synthetic = run.data == "synthetic" and pictures is None
    jobs["images"] = images, dict(every=1 if synthetic or pictures is not None else 10)
    told, problems = {}, []
    for name, (protocol, arguments) in jobs.items():
        console.print(f"[bold]{name}[/]")
        data = pictures if name == "images" and pictures is not None else run.data
        own = dataclasses.replace(run, out=run.folder / name, data=data, json=False)
        try:
            protocol(own, **arguments)
        except ValueError as error:
            problems.append(f"{name}: {error}")
        if (own.folder / "summary.json").exists():
            told[name] = json.loads((own.folder / "summary.json").read_text())
    fast = speed(run.weights, run.image_size, run.dtype or "bfloat16")
    _draw_modes(run, told)
    text = _report(run, told, fast, problems)
    with replacing(run.folder / "report.md") as file:
        file.write(text.encode())
    with replacing(run.folder / "summary.json") as file:
        file.write(json.dumps({**told, "speed": fast}, indent=2).encode())
    if run.json:
        print(json.dumps({**{name: one["metrics"] for name, one in told.items()}, "speed": fast}, indent=2))
    console.print(f"everything is in {run.folder / 'report.md'}")
    if problems:
        raise ValueError(" ".join(problems))


def _draw_modes(run: Run, told: dict[str, Any]) -> None:
    """Offline and online in one chart (Figure 5)."""
    from sam2_jax.evaluation.charts import line_chart

    modes = {name: told[name]["curves"] for name in ("offline", "online") if name in told}
    for file, label in (("rounds", "frames clicked on"), ("time", "seconds of annotation")):
        if modes:
            curves = {name: found[label] for name, found in modes.items()}
            chart = line_chart(curves, "Interactive segmentation", label, "J&F")
            write_picture(run.folder / f"accuracy_over_{file}.png", chart)


def _report(run: Run, told: dict[str, Any], fast: dict[str, Any], problems: list[str]) -> str:
    lines = [f"# {fast['model']} on {open_data(run.data).name}", ""]
    lines += [
        f"Input {fast['image size']} x {fast['image size']} pixels. Scores are in percent, those of davis 0 to 1.",
        "",
    ]
    lines += ["| protocol | metric | ours | the paper, B+ | on |", "|---|---|---|---|---|"]
    for name, one in told.items():
        paper = {row["metric"]: row for row in reversed(one["paper"]) if row["model"] == "B+"}
        main = [key for key in one["metrics"] if key in paper] or [next(iter(one["metrics"]))]
        for metric in main:
            row = paper.get(metric)
            beside = f"{row['value']:g} | {row['data']}" if row else " | "
            lines.append(f"| {name} | {metric} | {one['metrics'][metric]:.2f} | {beside} |")
    for metric in ("video frames/s", "pictures/s"):
        if metric in fast:
            lines.append(f"| speed | {metric} | {fast[metric]:.2f} ({fast['device']}, {fast['dtype']}) | | |")
    lines += ["", "The paper's numbers are on other data, unless the last column says the data of this report.", ""]
    for picture in sorted(run.folder.glob("*.png")):
        lines += [f"![{picture.stem}]({picture.name})", ""]
    for name, one in told.items():
        lines += [f"## {name}", "", f"{one['title']}; {one['objects']} rows.", ""]
        lines += ["| " + " | ".join(one["metrics"]) + " |", "|" + "---|" * len(one["metrics"])]
        lines += ["| " + " | ".join(f"{value:.2f}" for value in one["metrics"].values()) + " |", ""]
        for column, groups in one["by"].items():
            lines += [f"| {column} | {one['metric']} | rows |", "|---|---|---|"]
            lines += [f"| {value} | {mean:.1f} | {count} |" for value, (mean, count) in groups.items()] + [""]
        for picture in sorted((run.folder / name).glob("*.png")):
            lines += [f"![{picture.stem}]({name}/{picture.name})", ""]
        for video, why in one["failed"].items():
            lines += [f"Failed: {video}: {why}", ""]
    lines += [f"Problem: {problem}" for problem in problems]
    return "\n".join(lines) + "\n"
