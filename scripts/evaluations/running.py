# SPDX-License-Identifier: Apache-2.0
"""A run over many videos: each one's results are a file, written when it is done; a run that was stopped goes on.

In: a source, and what is done with a clip. Out: a record for each video, and a sentence for each that failed.
"""

import contextlib
import dataclasses
import json
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.progress import track

from sam2_jax.evaluation.breakdown import facts_of
from sam2_jax.evaluation.clip_scores import WorstMask
from sam2_jax.evaluation.clips import Clip, open_clip
from sam2_jax.evaluation.masklets import Rules
from sam2_jax.media import write_picture
from sam2_jax.media.files import replacing
from sam2_jax.media.overlays import overlay
from sam2_jax.media.paths import as_path, is_remote, last_written
from scripts.command import NANO, Dtype, Weights, console

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RunArguments:
    """What every protocol is told.

    Attributes:
        data: A folder or file, LAYOUT:PATH?option=value, as for training; or synthetic, the held-out made-up videos.
        weights: nano, which comes along, or a published .pt, a .safetensors file or folder, an Orbax directory.
        out: The folder for the results, here or in a bucket (gs://). A run that was stopped goes on there.
        image_size: The side that frames are resized to, a multiple of 32; the model's own without it.
        dtype: The type to compute in; the model's own without it.
        rules: Which objects count: sa-v, from their first appearance; davis2017, those of the first frame.
        keep_first_and_last: Count the first and the last annotated frame too.
        by: Break the scores down by a fact: size, disappears, length, or any that the data tell. Can be repeated.
        most_videos: Only the first so many videos.
        most_frames: Only the first so many frames of each.
        device_gib: How many GiB of a video's features and spatial memories stay on the device; beyond it features are
            computed again, and memories move to the host.
        part: "I/N": only the videos I, I + N, I + 2 N and so on, for one of N machines with one folder.
        json: Print the summary as JSON.
    """

    data: str
    out: Path
    weights: Weights = NANO
    image_size: int | None = None
    dtype: Dtype | None = None
    rules: Literal["sa-v", "davis2017"] = "sa-v"
    keep_first_and_last: bool = False
    by: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    most_videos: int | None = None
    most_frames: int | None = None
    device_gib: float = 8.0
    part: str = "0/1"
    json: bool = False

    @property
    def folder(self) -> Path:
        """`out`, here or in a bucket.

        Raises:
            ValueError: it is neither.
        """
        return as_path(self.out)

    def limits(self):
        """`device_gib` as a session takes it."""
        from sam2_jax.session import SessionLimits  # loads jax

        return SessionLimits(device_bytes=int(self.device_gib * 2**30))

    def counting(self) -> Rules:
        return Rules(self.keep_first_and_last, first_frame_objects=self.rules == "davis2017")


Run = Annotated[RunArguments, tyro.conf.arg(name="")]


def open_data(spec: str, pictures: bool = False):
    """The source that `--data` names; ``synthetic`` are the held-out videos, or pictures."""
    from data.sources import open_source

    return open_source("synthetic:held_out_pictures" if pictures and spec == "synthetic" else spec)


def run_over_videos(
    protocol: str,
    settings: dict[str, Any],
    run: RunArguments,
    source,
    evaluate: Callable[[Any, Any, Clip, Executor], Record],
) -> tuple[list[Record], dict[str, str]]:
    """Evaluates the videos that have no results yet, one on each device at a time.

    Args:
        settings: what else than the common arguments the results depend on.
        evaluate: of the model, its parameters on the device, a clip and threads for what the host computes.

    Returns:
        The records of all videos of the source that are done, in order; and by video why it failed.

    Raises:
        ValueError: the folder holds a run of other settings; or no video could be evaluated.
    """
    if not run.device_gib >= 0:
        raise ValueError(f"--device-gib is {run.device_gib}; expected 0 or more.")
    folder = run.folder / "videos"
    mine = _settings(protocol, settings, run, source.name)
    _check(run.folder, mine)
    count = min(len(source), run.most_videos or len(source))
    done = {path.name for path in folder.glob("*.json")}
    todo, failed = [], {}
    for index in _part(run.part, count):
        try:
            name = source.video_name(index)
        except Exception as error:
            failed[f"video {index}"] = _sentence(error)
            continue
        if f"{name}.json" not in done:
            todo.append((index, name))
    if todo:
        import sam2_jax

        with console.status("reading the weights"):
            model, params = sam2_jax.load(run.weights, run.image_size, run.dtype)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(run.folder / "run.json") as file:
            file.write(json.dumps(mine, indent=2).encode())
        for name, sentence in _evaluate_all(todo, folder, run, source, model, params, evaluate):
            if sentence is not None:
                failed[name] = sentence
                console.print(f"[bold red]failed:[/] {name}: {sentence}", soft_wrap=True)
    records = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    if not records:
        raise ValueError(f"No video was evaluated: {next(iter(failed.values()), 'the source is empty.')}")
    return sorted(records, key=lambda record: record["index"]), failed


def rows_of(clip: Clip, scores: list[dict[str, Any] | None]) -> list[Record]:
    """A row for each object that counts: its video, its number, its scores and what is known of it."""
    return [
        {"video": clip.name, "object": number, **score, "facts": facts}
        for number, score, facts in zip(clip.objects, scores, facts_of(clip))
        if score is not None
    ]


def draw_worst(folder: Path, clip: Clip, worst: WorstMask | None) -> None:
    """A picture of a clip's worst mask, in the first colour, and the true one, in the second."""
    if worst is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    masks = np.stack([worst.mask, clip.truth(worst.frame)[worst.place]])
    write_picture(folder / f"{clip.name}.png", overlay(clip.frames([worst.frame])[0], masks, alpha=0.35))


def _evaluate_all(
    todo: list[tuple[int, str]], folder: Path, run: RunArguments, source, model, params, evaluate
) -> Iterator[tuple[str, str | None]]:
    """Evaluates videos, one on each device at a time: the name of each, and why it failed."""
    import jax

    devices: queue.Queue = queue.Queue()
    for device in jax.local_devices():
        devices.put((device, jax.device_put(params, device)))
    hosts_threads = ThreadPoolExecutor(os.cpu_count())

    def one(index_and_name: tuple[int, str]) -> tuple[str, str | None]:
        index, name = index_and_name
        device, own_params = devices.get()
        try:
            with jax.default_device(device):
                clip = open_clip(source, index, run.most_frames)
                record = {"index": index} | evaluate(model, own_params, clip, hosts_threads)
            with replacing(folder / f"{name}.json") as file:
                file.write(json.dumps(record).encode())
            return name, None
        except Exception as error:  # of whatever kind: the other videos' results stay
            return name, _sentence(error)
        finally:
            devices.put((device, own_params))

    with hosts_threads, ThreadPoolExecutor(len(jax.local_devices())) as workers, contextlib.ExitStack() as stack:
        stack.callback(lambda: workers.shutdown(cancel_futures=True))
        yield from track(workers.map(one, todo), "evaluating", len(todo), console=console)


def _settings(protocol: str, settings: dict[str, Any], run: RunArguments, data: str) -> dict[str, Any]:
    """All that the results depend on."""
    # The path would not do for weights: what was trained a little longer may be where the others were.
    from sam2_jax.checkpoints.one_file import find_bundled  # loads jax

    weights = find_bundled(run.weights)
    names = ("image_size", "dtype", "rules", "keep_first_and_last", "most_frames")
    place = weights if is_remote(weights) else weights.resolve()
    common = dict(protocol=protocol, data=data, spec=run.data, weights=str(place), written=last_written(weights))
    return common | {name: getattr(run, name) for name in names} | settings


def _check(out: Path, mine: dict[str, Any]) -> None:
    """A folder holds one run."""
    if (out / "run.json").exists():
        there = json.loads((out / "run.json").read_text())
        for name, value in mine.items():
            if there.get(name) != value:
                came = f"{out} holds a run with {name} {there.get(name)!r}, and this one has {value!r}"
                raise ValueError(f"{came}; give another --out.")


def _part(text: str, count: int) -> range:
    first, slash, parts = text.partition("/")
    if not slash or not first.isdecimal() or not parts.isdecimal() or int(first) >= int(parts):
        raise ValueError(f"--part is {text!r}; expected I/N with I from 0 to N - 1.")
    return range(int(first), count, int(parts))


def _sentence(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"
