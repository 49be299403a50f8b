# SPDX-License-Identifier: Apache-2.0
"""What one record of prepared data is: a video with its frames as JPEG files and its masks as run lengths.

In: a video of a source, to be stored; or a record, to be read. Out: the record's bytes; or an `OpenVideo`. Pictures
stay encoded until one is asked for. Nothing is a sequence within a sequence, which TFDS cannot write without
TensorFlow.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from data.formats.reading import naming
from data.formats.rle import area, encode
from data.formats.video_list import OpenVideo, Segments
from data.source import BrokenExample, Source, Video

# Pixels are in memory for no more than these bytes at a time, however long the video and however many its objects.
_BLOCK_BYTES = 2**28
_JPEG_QUALITY = 95


@runtime_checkable
class HasJpegFiles(Protocol):
    """What a source can do in addition, so that frames that are JPEG files need not be encoded again."""

    def jpeg(self, index: int, frame: int) -> bytes | None:
        """The JPEG file that a frame is decoded from; None where it comes from anything else."""


@runtime_checkable
class HasRunLengths(Protocol):
    """What a source can do in addition, so that masks that are run-length encoded need not be decoded for it."""

    def run_lengths(self, index: int, frame: int) -> Sequence[bytes | None] | None:
        """COCO's compressed counts of the O masks on an annotated frame, None for an object that is out of sight; None
        altogether where the masks come from anything else."""


@functools.cache
def features() -> tfds.features.FeaturesDict:
    """The schema."""
    text, number, raw = tfds.features.Text, np.int64, tfds.features.Tensor(shape=(), dtype=np.bytes_)
    return tfds.features.FeaturesDict(
        {
            "name": text(),
            "height": number,
            "width": number,
            "frames": tfds.features.Sequence(raw),  # T pictures, JPEG
            "frame_numbers": tfds.features.Sequence(number),  # T, what the source calls them
            "objects": tfds.features.Sequence(number),  # O identities
            "annotated": tfds.features.Sequence(number),  # which of the T frames have masks
            # One entry for each object in sight on each of them; an object without one is out of sight.
            "annotations": tfds.features.Sequence({"frame": number, "object": number, "counts": raw}),
            "metadata": text(),  # JSON: of_video, of_objects
        }
    )


def example(source: Source, index: int, annotated_only: bool = False) -> dict:
    """One video of a source in the schema of `features`.

    A frame that is a JPEG file is stored as it is; others are encoded, once.

    Raises:
        BrokenExample: the source cannot read it.
    """
    video = source.video(index)
    if len(set(video.objects)) < len(video.objects):
        raise BrokenExample(f"{video.name} of {source.name} has several objects of one identity: {video.objects}.")
    numbers = list(video.annotated) if annotated_only else list(range(video.frames))
    place = {number: frame for frame, number in enumerate(numbers)}
    frames = []
    for block in _blocks(numbers, video.height * video.width * 3):
        for number, pixels in zip(block, source.frames(index, block)):
            frames.append(_stored_jpeg(source, index, number, pixels) or _encode_jpeg(pixels))
    annotations = sorted(_annotations(source, index, video))
    facts = dict(of_video=dict(video.of_video), of_objects={k: list(v) for k, v in video.of_objects.items()})
    return {
        "name": video.name,
        "height": video.height,
        "width": video.width,
        "frames": frames,
        "frame_numbers": numbers,
        "objects": list(video.objects),
        "annotated": [place[number] for number in video.annotated],
        "annotations": {
            "frame": [place[number] for number, _, _ in annotations],
            "object": [video.objects[which] for _, which, _ in annotations],
            "counts": [counts for _, _, counts in annotations],
        },
        "metadata": json.dumps(facts, sort_keys=True),
    }


def facts_of(example: dict) -> dict:
    """An example without its pictures and masks: what `Source.video` tells, in a thousandth of the bytes."""
    return example | {"frames": [], "annotations": {"frame": [], "object": [], "counts": []}}


def serialize(example: dict) -> bytes:
    """An example as TFDS stores it, in a tenth of the time, and in bytes that are the same in every process."""
    flat = {name: value for name, value in example.items() if not isinstance(value, dict)}
    flat |= {f"annotations/{name}": column for name, column in example["annotations"].items()}
    features = tf_feature_pb2.Features(feature={name: _feature(name, value) for name, value in flat.items()})
    return tf_example_pb2.Example(features=features).SerializeToString(deterministic=True)


def open_prepared(record: Mapping) -> OpenVideo:
    """A record, parsed with pictures as the bytes that they are stored as."""
    facts, table = video_of(record), record["annotations"]
    rows = {frame: [None] * len(facts.objects) for frame in facts.annotated}
    places = {id: place for place, id in enumerate(facts.objects)}
    for frame, id, counts in zip(table["frame"].tolist(), table["object"].tolist(), table["counts"]):
        rows[frame][places[id]] = {"size": [facts.height, facts.width], "counts": counts}
    names = [f"object {id}" for id in facts.objects]
    return OpenVideo(facts, JpegBytes(record["frames"]), Segments((facts.height, facts.width), rows, names))


def video_of(record: Mapping) -> Video:
    """What is known of a record's video, also by its facts alone."""
    facts = json.loads(record["metadata"])
    return Video(
        name=record["name"].decode(),
        frames=len(record["frame_numbers"]),
        height=record["height"],
        width=record["width"],
        objects=tuple(record["objects"].tolist()),
        annotated=tuple(record["annotated"].tolist()),
        of_video=facts["of_video"],
        of_objects={name: tuple(values) for name, values in facts["of_objects"].items()},
    )


@dataclasses.dataclass(frozen=True)
class JpegBytes:
    """`Pictures` that are JPEG files in memory."""

    files: Sequence[bytes]

    def read(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        return (decode_picture(self.files[frame], cv2.IMREAD_COLOR_RGB) for frame in frames)

    def jpeg(self, frame: int) -> bytes:
        return self.files[frame]


def decode_picture(encoded: bytes, how: int) -> np.ndarray:
    """A picture in one of OpenCV's modes. Raises `BrokenExample` where it is none."""
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), how) if encoded else None
    if picture is None:
        raise BrokenExample(f"a picture was expected, but {len(encoded)} bytes came that are none.")
    return picture


def _feature(name: str, value: str | int | list) -> tf_feature_pb2.Feature:
    values = value if isinstance(value, list) else [value]
    if name in ("name", "metadata", "frames", "annotations/counts"):
        encoded = [one.encode() if isinstance(one, str) else one for one in values]
        return tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=encoded))
    return tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=values))


def _annotations(source: Source, index: int, video: Video) -> Iterator[tuple[int, int, bytes]]:
    """Of every object in sight on every annotated frame: the frame, the object's place and its run lengths."""
    frames = []
    for frame in video.annotated:
        rows = source.run_lengths(index, frame) if isinstance(source, HasRunLengths) else None
        if rows is None:
            frames.append(frame)
            continue
        for which, counts in enumerate(rows):
            with naming(f"Object {video.objects[which]} on frame {frame} of {video.name}"):
                if counts is not None and area(counts, (video.height, video.width)):
                    yield frame, which, counts
    for objects in _blocks(range(len(video.objects)), video.height * video.width):
        for block in _blocks(frames, video.height * video.width * len(objects)):
            for frame, masks in zip(block, source.masks(index, block, objects)):
                yield from ((frame, which, encode(mask)) for which, mask in zip(objects, masks) if mask.any())


def _stored_jpeg(source: Source, index: int, frame: int, pixels: np.ndarray) -> bytes | None:
    encoded = source.jpeg(index, frame) if isinstance(source, HasJpegFiles) else None
    if encoded is None:
        return None
    # Rare ones, as those in the colours of print, are read by other means than a stored frame will be.
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    return encoded if np.array_equal(decoded, pixels) else None


def _encode_jpeg(pixels: np.ndarray) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _blocks(items: Sequence, bytes_each: int) -> Iterator[list]:
    size = max(1, _BLOCK_BYTES // bytes_each)
    return (list(items[start : start + size]) for start in range(0, len(items), size))
