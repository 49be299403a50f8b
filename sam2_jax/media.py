# SPDX-License-Identifier: Apache-2.0
"""Pictures and masks in and out of files, the resizes at both ends of the model, and small regions removed.

In: paths, PIL images and NumPy arrays of any picture. Out: uint8 (H, W, 3) RGB pictures, bool (H, W) masks, float32
resized arrays; everything runs on the host, so pictures of many sizes never recompile the model.
"""

import contextlib
import os
import pathlib
import threading
import uuid

import cv2
import numpy as np
from PIL import Image, ImageOps

MAXIMUM_PIXELS = 2**28  # of one picture file; beyond it, the picture alone takes most of a gigabyte

_PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
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
        return _rgb(_load(source), os.fspath(source))
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
    with _replacing(path) as file:
        image.save(file, format=_PICTURE_FORMATS[suffix], quality=95)


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """A mask file as bool (H, W): where there is an object, whichever.

    Grey and palette pictures (1 to 16 bits): every value but 0 is object. Pictures with colours: every colour but
    black. With an alpha channel, only what is not fully transparent. The EXIF orientation is applied, as in
    `read_picture`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no picture or is damaged; or it is a JPEG, whose noise would count as object.
    """
    image = _load(path)
    if image.format in ("JPEG", "MPO"):
        raise ValueError(f"{path} is a JPEG, whose noise would be read as object: a mask is a PNG.")
    if image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        values = np.asarray(image)
        return (values[..., :3] > 0).any(axis=-1) & (values[..., 3] > 0)
    values = np.asarray(image if len(image.getbands()) == 1 else image.convert("RGB"))
    return values != 0 if values.ndim == 2 else (values > 0).any(axis=-1)


def write_mask(path: str | os.PathLike, mask: np.ndarray) -> None:
    """Write a mask (H, W) as an 8-bit grey PNG, 0 background and 255 object. The file appears whole or not at all.

    Raises `ValueError` where the path does not end in .png or the mask is not one (see `as_masks`), and
    `FileNotFoundError` where the folder does not exist.
    """
    if pathlib.Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path} must end in .png: a mask is written as PNG.")
    mask = as_masks(mask)
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"A mask to write has the shape (H, W), but {mask.shape} came.")
    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    with _replacing(path) as file:
        image.save(file, format="PNG")


def as_masks(masks: np.ndarray) -> np.ndarray:
    """Masks of any shape as bool; numbers are taken where all are 0 or 1, as the published predictors return them.

    Raises `ValueError` for other numbers: logits, probabilities and 0..255 need a threshold that the caller knows.
    """
    masks = np.asarray(masks)
    if masks.dtype == bool:
        return masks
    objects = masks == 1
    if not (objects | (masks == 0)).all():
        raise ValueError(f"Masks are bool, or 0 and 1, but {masks.dtype} with other values came: compare with > 0.")
    return objects


def resize_picture(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture as the image encoder sees it: squeezed to a square, bilinear with antialias.

    The numbers are those of torchvision's `Resize` on float tensors, the published image preprocessing, to 2e-4 of
    a grey level. A resize of uint8 would round to whole ones.

    Args:
        picture: uint8 (H, W, 3).
        size: S, the side of the result in pixels.

    Returns:
        float32 (S, S, 3), in 0..255.

    Raises:
        ValueError: the picture is of another type or shape, or the size is below 1.
    """
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"A picture to resize is uint8 (H, W, 3), but {_came(picture)} came.")
    if size < 1:
        raise ValueError(f"size is the side of the result in pixels, at least 1, but {size} came.")
    image = Image.fromarray(picture)
    # One channel at a time: Pillow's float mode has one, and a large picture then costs a third of the memory.
    channels = (
        image.getchannel(channel).convert("F").resize((size, size), Image.Resampling.BILINEAR) for channel in range(3)
    )
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def resize_logits(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask logits at the size of the picture: bilinear without antialias, also where an axis shrinks.

    These are the published numbers (`interpolate(..., mode="bilinear", align_corners=False)`), to 1e-4 of the
    largest logit.

    Args:
        logits: (..., h, w), taken as float32.
        size: (H, W) of the result, pixels.

    Returns:
        float32 (..., H, W).

    Raises:
        ValueError: a side of the logits or of the result is below 1.
    """
    logits = np.asarray(logits, np.float32)
    height, width = size
    _check_planes(logits)
    if height < 1 or width < 1:
        raise ValueError(f"size is (H, W) of the result in pixels, both at least 1, but {tuple(size)} came.")
    planes = logits.reshape(-1, *logits.shape[-2:])
    resized = np.empty((len(planes), height, width), np.float32)
    for index, plane in enumerate(planes):
        resized[index] = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(*logits.shape[:-2], height, width)


def remove_small_regions(
    logits: np.ndarray, threshold: float, max_hole_area: float = 0, max_sprinkle_area: float = 0
) -> np.ndarray:
    """Mask logits without small holes and small specks.

    Regions are 8-connected. A region of background (logits <= threshold) of at most `max_hole_area` pixels gets
    threshold + 10; a region of foreground of at most `max_sprinkle_area` pixels gets threshold - 10. Both are sought
    in the logits that came, as in the published package: a speck in a hole is removed though the hole is filled. An
    area of 0 turns its half off.

    Args:
        logits: (..., h, w), of any floating type; not modified.
        threshold: above it is foreground.
        max_hole_area: pixels of the logits' own grid.
        max_sprinkle_area: pixels of the logits' own grid.

    Returns:
        A new array of the same shape and type.

    Raises:
        ValueError: a side of the logits is below 1.
    """
    result = np.array(logits)
    _check_planes(result)
    for index in np.ndindex(result.shape[:-2]):
        plane = result[index]
        foreground = plane > threshold
        if max_hole_area > 0:
            plane[_small_regions(~foreground, max_hole_area)] = threshold + 10
        if max_sprinkle_area > 0:
            plane[_small_regions(foreground, max_sprinkle_area)] = threshold - 10
    return result


def palette(count: int) -> np.ndarray:
    """The colours of the PASCAL VOC and DAVIS mask files: uint8 (count, 3) RGB, black first.

    The bits of an index are dealt to red, green and blue in turn, and each colour takes its bits from the highest
    down.
    """
    indices = np.arange(count)
    colors = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (indices >> (3 * bit + channel) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def _load(path: str | os.PathLike) -> Image.Image:
    """A picture file, decoded, turned by its EXIF orientation; `format` is kept."""
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, not a picture.")
    with open(path, "rb") as file:
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


def _check_planes(logits: np.ndarray) -> None:
    if logits.ndim < 2 or 0 in logits.shape[-2:]:
        raise ValueError(f"Logits have the shape (..., h, w), with h and w at least 1, but {logits.shape} came.")


def _small_regions(regions: np.ndarray, max_area: float) -> np.ndarray:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(regions.astype(np.uint8), connectivity=8)
    small = statistics[:, cv2.CC_STAT_AREA] <= max_area
    small[0] = False  # what is no region
    return small[labels]


@contextlib.contextmanager
def _replacing(path: str | os.PathLike):
    """A file to write to, which takes the place of `path` once it is complete."""
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist.")
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
