# SPDX-License-Identifier: Apache-2.0
"""The files that grow as a run goes on: its metrics as lines of JSON, and TensorBoard's events.

In: values of a step, images. Out: on a disk ``metrics.jsonl`` and a file of ``tensorboard/``, which are appended to. In
a bucket nothing can be appended: there both are parts, ``metrics/STEP.jsonl`` and files of ``tensorboard/``. A part
begins behind a checkpoint and is sent whole, again and again as it grows. `read_metrics` joins what is there.
"""

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter
from tensorboardX.record_writer import register_writer_factory

from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path, is_remote

_SECONDS = 30  # between two times that a part is sent; a bucket takes an object once a second


class RunLog:
    """Writes the lines and the events of a run, from a step on; an earlier start's lines of later steps are removed."""

    def __init__(self, workdir: Path, first_step: int):
        self._workdir, self._in_parts = workdir, is_remote(workdir)
        self._purge_step = first_step + 1
        self._lines = self._events = None
        self._sent, self._sending = time.monotonic(), None
        self._sender = ThreadPoolExecutor(1)
        _remove_later(workdir, first_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One line, and a scalar for each value."""
        self._open(step)
        line = {"step": step, "time": round(time.time(), 3)} | {name: float(value) for name, value in values.items()}
        self._lines.write((json.dumps(line) + "\n").encode())
        for name, value in values.items():
            self._events.add_scalar(name, float(value), step)
        idle = self._sending is None or self._sending.done()
        if self._in_parts and idle and time.monotonic() - self._sent > _SECONDS:
            self._sent, self._sending = time.monotonic(), self._sender.submit(self._lines.flush)

    def show(self, step: int, name: str, sheet: np.ndarray) -> None:
        """An image (H, W, 3) uint8 for TensorBoard."""
        self._open(step)
        self._events.add_image(name, sheet, step, dataformats="HWC")

    def end_part(self) -> None:
        """Before a checkpoint is saved: its steps are not done again, so their lines have to be in the bucket by then.

        Raises:
            OSError: they cannot be written.
        """
        if self._in_parts:
            self._close_files()

    def close(self) -> None:
        """Writes what is left.

        Raises:
            OSError: it cannot be written.
        """
        self._close_files()
        self._sender.shutdown()

    def _open(self, step: int) -> None:
        if self._lines is not None:
            return
        part = f"{step:09}"
        if self._in_parts:
            self._lines = _Part(self._workdir / "metrics" / f"{part}.jsonl")
        else:
            self._lines = open(self._workdir / "metrics.jsonl", "ab", buffering=0)  # noqa: SIM115
        self._events = SummaryWriter(
            str(self._workdir / "tensorboard"), purge_step=self._purge_step, filename_suffix=f".{part}"
        )
        self._purge_step = None  # said by the first part

    def _close_files(self) -> None:
        lines, events, self._lines, self._events = self._lines, self._events, None, None
        if lines is None:
            return
        if self._sending is not None:
            self._sending.result()
        try:
            lines.close()
        finally:
            events.close()


def read_metrics(workdir: Path) -> list[dict[str, float]]:
    """The metrics of a run, here or in a bucket: a record for each line that was written, by step.

    Raises:
        FileNotFoundError: there are none.
    """
    files = _files(workdir)
    if not files:
        raise FileNotFoundError(
            f"{workdir / 'metrics.jsonl'} does not exist; expected the folder of a run of training."
        )
    records = sorted(
        (record for file in files for record in _records(file)), key=lambda record: record.get("time", 0.0)
    )
    latest = {(record["step"], *record): record for record in records}  # of a step that was done twice
    return sorted(latest.values(), key=lambda record: record["step"])


def _files(workdir: Path) -> list[Path]:
    whole = workdir / "metrics.jsonl"
    return [*([whole] if whole.exists() else []), *sorted((workdir / "metrics").glob("*.jsonl"))]


def _records(file: Path) -> list[dict[str, float]]:
    records = []
    for line in file.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:  # the last one, cut short when the process was killed
            continue
    return records


def _remove_later(workdir: Path, first_step: int) -> None:
    """Removes the lines of steps that will be done again, and a last one that was cut short."""
    for file in _files(workdir):
        if file.stem.isdecimal():
            # A part ends where a checkpoint was saved, and so does not reach across `first_step`.
            if int(file.stem) > first_step:
                file.unlink()
            continue
        kept = [json.dumps(record) + "\n" for record in _records(file) if record["step"] <= first_step]
        with replacing(file) as replacement:
            replacement.write("".join(kept).encode())


class _Part:
    """A binary file in a bucket: what is written to it is kept, and each flush sends all of it."""

    def __init__(self, path: Path):
        self._path, self._content = path, bytearray()

    def write(self, data: bytes) -> None:
        self._content += data

    def flush(self) -> None:
        """Sends it, if that can be done now: `close` does it for certain, and TensorBoard's thread ends by an error."""
        try:
            self._path.write_bytes(bytes(self._content))
        except Exception:
            return

    def close(self) -> None:
        """Sends it, for the last time.

        Raises:
            OSError: it cannot be sent.
        """
        try:
            self._path.write_bytes(bytes(self._content))
        except Exception as error:  # a file system raises what its client raises
            raise OSError(f"{self._path} could not be written: {type(error).__name__}: {error}") from error
        self._content = bytearray()


class _Parts:
    """What tensorboardX opens files in buckets with. Its own writer ends by one answer that is lost, and then hangs."""

    def open(self, path: str) -> _Part:
        return _Part(as_path(path))

    def directory_check(self, path: str) -> None:
        """A bucket has no folders."""


for _scheme in ("gs", "s3"):
    register_writer_factory(_scheme, _Parts())
