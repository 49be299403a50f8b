# SPDX-License-Identifier: Apache-2.0
"""Records of two data sets in TFDS's own catalog, davis and segment_anything, as videos.

In: a record, parsed but with its pictures still encoded, for which TensorFlow is not needed. (TFDS's own reading would
decode all frames of a video at each access.) Out: an `OpenVideo`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from data.formats.video_list import OpenVideo, Segments
from data.prepared.schema import JpegBytes, decode_picture
from data.source import Video

_VOID = 255  # of DAVIS: no object


@dataclasses.dataclass(frozen=True)
class _Labels:
    """`Masks` that are one index picture a frame."""

    files: Sequence[bytes]
    objects: Sequence[int]

    def write(self, frame: int, objects: Sequence[int], out: np.ndarray) -> None:
        labels = self._read(frame)
        for place, mask in zip(objects, out, strict=True):
            np.equal(labels, self.objects[place], out=mask)

    def areas(self, frame: int) -> np.ndarray:
        return np.bincount(self._read(frame).ravel(), minlength=256)[list(self.objects)]

    def _read(self, frame: int) -> np.ndarray:
        return decode_picture(self.files[frame], cv2.IMREAD_UNCHANGED)


def open_davis(record: Mapping) -> OpenVideo:
    """A record of `davis`. Its objects are those that occur in any of its index pictures."""
    frames, labels = record["video"]["frames"], record["video"]["segmentations"]
    occurring = [np.unique(decode_picture(encoded, cv2.IMREAD_UNCHANGED)) for encoded in labels]
    objects = tuple(sorted(set(np.concatenate(occurring).tolist()) - {0, _VOID}))
    size = decode_picture(labels[0], cv2.IMREAD_UNCHANGED).shape
    facts = Video(record["metadata"]["video_name"].decode(), len(frames), *size, objects, tuple(range(len(labels))))
    return OpenVideo(facts, JpegBytes(frames), _Labels(labels, objects))


def open_segment_anything(record: Mapping) -> OpenVideo:
    """A record of `segment_anything`, as a video of one frame."""
    image, annotations = record["image"], record["annotations"]
    size, objects = (int(image["height"]), int(image["width"])), tuple(annotations["id"].tolist())
    of_objects = {fact: tuple(annotations[fact].tolist()) for fact in ("predicted_iou", "stability_score")}
    name = image["file_name"].decode().rpartition(".")[0]
    segments = [{"size": list(size), "counts": counts} for counts in annotations["segmentation"]["counts"]]
    facts = Video(name, 1, *size, objects, (0,), of_objects=of_objects)
    places = [f"annotation {identity}" for identity in objects]
    return OpenVideo(facts, JpegBytes([image["content"]]), Segments(size, {0: segments}, places))
