# SPDX-License-Identifier: Apache-2.0
"""Sessions in files: everything but the video and the weights, so that one that is opened again goes on bit for bit.

In: a `Session`. Out: a zip file of NumPy arrays, written one by one, and of ``session.json``; and the way back.
"""

import dataclasses
import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path
from sam2_jax.session.objects import Part, Result, TrackedObject
from sam2_jax.session.session import Session
from sam2_jax.transfer import to_host

_FORMAT = 1
_KINDS = ("prompted", "tracked", "pending", "pending, not counted")
_Entry = tuple[int, int, Result]  # a kind, a frame and a result


def save_session(session: Session, path: str | os.PathLike) -> None:
    """Writes a session to a file, which takes the place of another one only when it is complete.

    Raises:
        ValueError: an object's id is neither a whole number nor text.
        FileNotFoundError: the folder of `path` does not exist.
    """
    for obj_id in session.objects:
        if not isinstance(obj_id, int | str | np.integer):
            raise ValueError(f"The object id {obj_id!r} cannot be saved; expected a whole number or text.")
    summary = _identity(session) | {
        "objects": [obj_id if isinstance(obj_id, str) else int(obj_id) for obj_id in session.objects]
    }
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("session.json", json.dumps(summary))
        for number, item in enumerate(session.objects.values()):
            for name, array in _arrays(item):
                with archive.open(f"{number}/{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def load_session(session: Session, path: str | os.PathLike) -> None:
    """Fills a new session of the same video and model from a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no session, or one of another video or model; the session stays empty.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no session {path}.")
    with path.open("rb") as file:
        try:
            archive = zipfile.ZipFile(file)
            summary = json.loads(_member(archive, "session.json"))
            ids, identity = summary.pop("objects"), summary
            problem = _difference(identity, _identity(session))
            items = {} if problem else {obj_id: _read(session, archive, row) for row, obj_id in enumerate(ids)}
        except (zipfile.BadZipFile, RuntimeError, EOFError, KeyError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a whole session: {' '.join(map(str, error.args))}.") from error
    if problem:
        raise ValueError(f"{path} is {problem}.")
    session.objects.update(items)


def _identity(session: Session) -> dict[str, Any]:
    """What a session can be opened with again."""
    config = session.runtime.model.config
    return {"format": _FORMAT, "frames": session.source.length, "model": json.loads(json.dumps(_numbers_of(config)))}


def _numbers_of(config) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "dtype"}


def _difference(came: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """Why a session cannot be opened here."""
    if came["format"] != _FORMAT:
        return f"a session of format {came['format']}; expected {_FORMAT}"
    if came["frames"] != expected["frames"]:
        return f"of a video of {came['frames']} frames; this one has {expected['frames']}"
    for name, value in expected["model"].items():
        if came["model"].get(name) != value:
            return f"of another model: its {name} is {came['model'].get(name)!r}, not {value!r}"
    return None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise KeyError(f"{name} is compressed")  # we write it as it is, and so know what it takes to read it
    return archive.read(name)


def _entries(item: TrackedObject) -> list[_Entry]:
    entries = [(0, *entry) for entry in item.prompted.items()] + [(1, *entry) for entry in item.tracked.items()]
    return entries + [(2 if counts else 3, frame, result) for frame, (result, counts) in item.pending.items()]


def _arrays(item: TrackedObject) -> Iterator[tuple[str, np.ndarray]]:
    entries = _entries(item)
    numbers = [(kind, frame, result.hard, result.maps is not None) for kind, frame, result in entries]
    yield "entries", np.array(numbers, np.int32).reshape(-1, 4)
    yield "scores", np.array([(result.iou, result.object_score) for *_, result in entries]).reshape(-1, 2)
    yield "directions", np.array(list(item.directions.items()), np.int32).reshape(-1, 2)
    yield "masked", np.array(sorted(item.masked), np.int32)
    yield "clicked", np.array(list(item.points), np.int32)
    for frame, (points, labels) in item.points.items():
        yield f"points/{frame}", points
        yield f"labels/{frame}", labels
    for index, (*_, result) in enumerate(entries):
        yield f"logits/{index}", result.logits
        yield f"pointer/{index}", result.pointer
        if result.maps is not None:  # NumPy's format has no bfloat16
            yield f"maps/{index}", to_host(result.maps).view(np.uint16)


def _read(session: Session, archive: zipfile.ZipFile, number: int) -> TrackedObject:
    config, storage, length = session.runtime.model.config, session.runtime.storage, session.source.length

    def array(name: str, dtype, *shape: int) -> np.ndarray:
        data = io.BytesIO(_member(archive, f"{number}/{name}.npy"))
        if np.lib.format.read_magic(data) != (1, 0):
            raise KeyError(f"{name} is no array")
        came, _, came_type = np.lib.format.read_array_header_1_0(data)
        if came_type != dtype or len(came) != len(shape) or any(b not in (-1, a) for a, b in zip(came, shape)):
            raise KeyError(f"{name} is {came_type} {came}")
        return np.frombuffer(data.read(), dtype).reshape(came)

    item = TrackedObject()
    item.directions.update((int(frame), int(way)) for frame, way in array("directions", np.int32, -1, 2))
    item.masked.update(array("masked", np.int32, -1).tolist())
    for frame in array("clicked", np.int32, -1).tolist():
        item.points[frame] = array(f"points/{frame}", np.float32, -1, 2), array(f"labels/{frame}", np.int32, -1)
    entries, scores = array("entries", np.int32, -1, 4).tolist(), array("scores", np.float64, -1, 2)
    side = config.embedding_size, config.embedding_size, config.memory_dim
    for index, (kind, frame, hard, has_maps) in enumerate(entries):
        if not 0 <= kind < len(_KINDS) or not 0 <= frame < length:
            raise KeyError(f"kind {kind} on frame {frame}")
        result = Result(
            storage,
            array(f"logits/{index}", np.float32, config.mask_size, config.mask_size),
            *map(float, scores[index]),
            array(f"pointer/{index}", np.float32, config.hidden_dim),
            bool(hard),
        )
        if has_maps:
            result.keep_maps(Part(storage.host.keep(array(f"maps/{index}", np.uint16, *side).view(jnp.bfloat16)), ()))
        if kind > 1:
            item.pending[frame] = (result, kind == 2)
        else:
            (item.prompted if kind == 0 else item.tracked)[frame] = result
    return item
