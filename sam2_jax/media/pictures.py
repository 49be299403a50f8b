# SPDX-License-Identifier: Apache-2.0
"""Pictures in and out of files.

In: paths, PIL images and NumPy arrays of any picture. Out: uint8 (H, W, 3) RGB pictures; PNG and JPEG files.
"""

import os
import pathlib
import threading

import numpy as np
from PIL import Image, ImageOps

from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path

MAXIMUM_PIXELS = 2**28  # of one picture file; beyond it, the picture alone takes most of a gigabyte

_PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_ORIENTATION = 0x0112  # of EXIF
_PILLOW_LIMIT_LOCK = threading.Lock()


def read_picture(source: str | os.PathLike | Image.Image | np.ndarray) -> np.ndarray:
    """Any picture as uint8 (H, W, 3) RGB.

    Files of every format that Pillow reads: grey, palette, CMYK and animated ones (the first frame) become RGB, and
    the EXIF orientation is applied, so that the picture stands as a viewer shows it. PIL images are taken as they
    stand, as the published package does: without their EXIF orientation. In both, transparency is dropped and the
    colours under it kept, and 16-bit values keep their upper 8 bits (Pillow's own conversion would clip them).

    Args:
        source: a path, a PIL image, or an array of uint8 or uint16 (upper 8 bits kept): (H, W, 3) RGB, (H, W, 4)
            RGBA, (H, W) or (H, W, 1) grey.

    Returns:
        uint8 (H, W, 3) RGB. It may share the memory of an array that came in.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no picture, is damaged or has more than `MAXIMUM_PIXELS` pixels; or the array has
            another type or shape.
    """
    if isinstance(source, str | os.PathLike):
        return _rgb(load_image(source), os.fspath(source))
    if isinstance(source, Image.Image):
        return _rgb(source, "the PIL image")
    if hasattr(source, "__array__"):
        return _rgb_array(np.asarray(source))
    raise ValueError(f"A picture is a path, a PIL image or a NumPy array, but {type(source).__name__} came.")


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write a picture (an array as `read_picture` takes) as PNG or JPEG, chosen by the suffix of the path.

    The file appears whole or not at all. Raises `ValueError` for another suffix or a wrong array, and
    `FileNotFoundError` where the folder does not exist.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in _PICTURE_FORMATS:
        raise ValueError(f"{path} must end in {', '.join(_PICTURE_FORMATS)}, to say which format to write.")
    image = Image.fromarray(_rgb_array(np.asarray(picture)))
    with replacing(path) as file:
        image.save(file, format=_PICTURE_FORMATS[suffix], quality=95)


def stored_size(path: str | os.PathLike) -> tuple[int, int]:
    """(H, W) of a picture file as `read_picture` gives it, pixels, by its header alone. Raises `ValueError`."""
    try:
        with Image.open(path) as image:
            # Only in JPEG files does the orientation stand before the pixels.
            turned = image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) >= 5
            return image.size if turned else image.size[::-1]
    except Exception as error:  # every decoder of Pillow has exceptions of its own for damaged files
        raise ValueError(f"{path} cannot be read as a picture: {error}.") from error


def load_image(path: str | os.PathLike) -> Image.Image:
    """A picture file, decoded, turned by its EXIF orientation; `format` is kept."""
    path = as_path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a picture.")
    with path.open("rb") as file:
        try:
            # Pillow warns above 89 million pixels and refuses above 179 million. The bound here is another, and the
            # caller's global setting is back before the first pixel is decoded.
            with _PILLOW_LIMIT_LOCK:
                limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                try:
                    image = Image.open(file)
                finally:
                    Image.MAX_IMAGE_PIXELS = limit
            too_large = image.width * image.height > MAXIMUM_PIXELS
            if not too_large:
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
        except MemoryError:
            raise
        except Exception as error:  # every decoder of Pillow has exceptions of its own for damaged files
            raise ValueError(f"{path} cannot be read as a picture: {error}.") from error
    if too_large:
        raise ValueError(f"{path} has {image.width} x {image.height} pixels, more than the {MAXIMUM_PIXELS} allowed.")
    return image


def _rgb(image: Image.Image, name: str) -> np.ndarray:
    try:
        image.load()  # a PIL image may be a file not yet decoded
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{name} cannot be read as a picture: {error}.") from error
    if 0 in image.size:
        raise ValueError(f"{name} is empty: {image.width} x {image.height} pixels.")
    if image.mode == "F":
        raise ValueError(f"{name} holds floating-point values, whose range is unknown: scale them to uint8 first.")
    if image.mode.startswith("I"):  # 16-bit grey; "I" itself has room for 32 bits
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{name} holds values beyond 16 bits, whose range is unknown: scale them to uint8 first.")
        return _rgb_array(values.astype(np.uint16))
    try:
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")  # straight to RGB gives the same colours, and Pillow warns
        return np.array(image.convert("RGB"))
    except ValueError as error:
        raise ValueError(f"{name} cannot be converted to RGB: {error}.") from error


def _rgb_array(array: np.ndarray) -> np.ndarray:
    expected = "a picture is uint8 (H, W, 3) RGB"
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"An array {_came(array)} came, but {expected}: scale it to 0..255 and convert it.")
    if 0 in array.shape:
        raise ValueError(f"An empty array {_came(array)} came, but {expected}.")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = ": move the channels to the end with .transpose(1, 2, 0)" if channels_first else ""
        raise ValueError(f"An array {_came(array)} came, but {expected}{hint}.")
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array[..., :3], (*array.shape[:2], 3)))


def _came(array: np.ndarray) -> str:
    return f"of shape {array.shape} and type {array.dtype}"
