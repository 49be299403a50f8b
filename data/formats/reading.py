# SPDX-License-Identifier: Apache-2.0
"""The files of data sets, read so that whatever is wrong with one is a `BrokenExample` that names it.

In: paths of pictures, of mask files and of JSON. Out: uint8 (H, W, 3) RGB pictures, (H, W) masks and object numbers,
fields of JSON of the type that was expected.
"""

import contextlib
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from PIL import Image

from data.source import BrokenExample
from sam2_jax.media import read_mask, read_picture
from sam2_jax.media.pictures import load_image, stored_size


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """Puts the place in front of the sentence of a `BrokenExample`."""
    try:
        yield
    except BrokenExample as error:
        raise BrokenExample(f"{place}: {error}") from error


@contextlib.contextmanager
def breaking(path: str | os.PathLike) -> Iterator[None]:
    """What is said of a missing or damaged file becomes a `BrokenExample`; the sentences name the path."""
    try:
        yield
    except BrokenExample:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise BrokenExample(f"{path} does not exist.") from None
    except ValueError as error:
        raise BrokenExample(str(error)) from error


def read_frame(path: str | os.PathLike) -> np.ndarray:
    """A picture as `read_picture` gives it, uint8 (H, W, 3) RGB; the usual JPEG files in half the time."""
    with breaking(path):
        with open(path, "rb") as file:
            encoded = file.read()
        if _is_plain_jpeg(encoded):
            picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
            if picture is not None:
                return picture
        return read_picture(path)  # which also knows what is wrong with a file


def picture_size(path: str | os.PathLike) -> tuple[int, int]:
    """(H, W) of the picture as `read_frame` gives it, in pixels, from the file's header."""
    with breaking(path):
        return stored_size(path)


def read_labels(path: str | os.PathLike, size: tuple[int, int]) -> np.ndarray:
    """The number of the object at each pixel, (H, W) of an unsigned type; 0 is none.

    Args:
        path: of a palette picture, whose indices they are, or a grey one.
        size: (H, W) that it must have, pixels.
    """
    with breaking(path):
        image = load_image(path)
        if image.format in ("JPEG", "MPO"):
            raise BrokenExample(f"{path} is a JPEG, whose noise would be read as objects: masks are PNG files.")
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise BrokenExample(f"{path} is a picture of mode {image.mode}: masks are palette or grey pictures.")
        labels = np.asarray(image)
        if image.mode == "1":
            labels = (labels != 0).view(np.uint8)  # Pillow's true is 255
        elif image.mode.startswith("I"):  # 16 bits, for which Pillow uses wider types too
            if labels.min() < 0 or labels.max() > 65535:
                raise BrokenExample(f"{path} holds numbers beyond 16 bits, which are no objects'.")
            labels = labels.astype(np.uint16)
        _check_size(path, labels, size)
        return labels


def read_object_mask(path: str | os.PathLike, size: tuple[int, int]) -> np.ndarray:
    """The mask of one object, bool (H, W), as `read_mask` gives it. `size` is (H, W) that it must have, pixels."""
    with breaking(path):
        mask = read_mask(path)
        _check_size(path, mask, size)
        return mask


def read_json(path: str | os.PathLike) -> dict:
    """The object that a JSON file holds."""
    with breaking(path), open(path, "rb") as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise BrokenExample(f"{path} is not JSON: {error}.") from error
        if not isinstance(content, dict):
            raise BrokenExample(f"{path} holds a {type(content).__name__} where a JSON object was expected.")
        return content


def field(content: dict, name: str, kind: type | tuple[type, ...], path: str | os.PathLike) -> Any:
    """One field of what `read_json` gave, or of an object in it, checked to be of a type."""
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, kind):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise BrokenExample(f"{path} has {str(value)[:40]!r} for {name!r}, where {kinds} was expected.")
    return value


def numbers(content: dict, name: str, path: str | os.PathLike) -> list[int | float]:
    """A `field` that is a list of numbers."""
    values = field(content, name, list, path)
    if not all(isinstance(value, int | float) for value in values):
        raise BrokenExample(f"{path} has {str(values)[:40]!r} for {name!r}, where numbers were expected.")
    return values


def _is_plain_jpeg(encoded: bytes) -> bool:
    """Whether OpenCV decodes as Pillow does: colours or grey, and whole. A JPEG file cut short has no end marker,
    and OpenCV would make up the rest."""
    if not (encoded.startswith(b"\xff\xd8") and encoded.endswith(b"\xff\xd9")):
        return False
    try:
        return Image.open(io.BytesIO(encoded)).mode in ("RGB", "L")
    except Exception:  # whatever it is, `read_picture` says it well
        return False


def _check_size(path: str | os.PathLike, mask: np.ndarray, size: tuple[int, int]) -> None:
    if mask.shape != size:
        raise BrokenExample(
            f"{path} has {mask.shape[1]} x {mask.shape[0]} pixels, but the picture {size[1]} x {size[0]}."
        )
