# SPDX-License-Identifier: Apache-2.0
"""The resizes at both ends of the model, to the published numbers; and videos padded to few lengths.

In: uint8 (H, W, 3) pictures, mask logits (..., h, w). Out: float32 arrays of the asked size. Everything runs on the
host, so pictures of many sizes never recompile the model.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image


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
        raise ValueError(
            f"A picture to resize is uint8 (H, W, 3), but shape {picture.shape} and type {picture.dtype} came."
        )
    if size < 1:
        raise ValueError(f"size is the side of the result in pixels, at least 1, but {size} came.")
    image = Image.fromarray(picture)
    # One channel at a time: Pillow's float mode has one, and a large picture then costs a third of the memory.
    channels = (
        image.getchannel(channel).convert("F").resize((size, size), Image.Resampling.BILINEAR) for channel in range(3)
    )
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def resize_frame(frame: np.ndarray, size: int) -> np.ndarray:
    """A frame of a video as the image encoder sees it: squeezed to a square in whole grey levels, bicubic.

    The published package treats frames so, and pictures otherwise (`resize_picture`).

    Args:
        frame: uint8 (H, W, 3).
        size: S, the side of the result in pixels.

    Returns:
        uint8 (S, S, 3).
    """
    return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))


def pad_videos(videos: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Videos of different lengths as one batch for `sam2_jax.segment_video`, padded with black frames.

    T - 1 is a multiple of 4, as many frames as `segment_video` encodes together after the first, and of the largest
    power of two that is at most an eighth of it. So the videos of a data set have few different T, each of which is
    compiled once, and fewer than one in eight of the chunks that are tracked is padding alone.

    Args:
        videos: B of them, uint8 (T_i, S, S, 3), each at the model's input size.

    Returns:
        The frames, uint8 (B, T, S, S, 3), and how many of each video's are real, int32 (B,).

    Raises:
        ValueError: there is no video, or one is of another type or size, or without frames.
    """
    if not len(videos):
        raise ValueError("There is no video to pad.")
    size = videos[0].shape[1:]
    for index, video in enumerate(videos):
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[1:] != (size[0], size[0], 3) or not len(video):
            raise ValueError(
                f"videos[{index}] has shape {video.shape} and type {video.dtype}; expected uint8 (T, S, S, 3), with T "
                "at least 1 and one S for all."
            )
    lengths = np.array([len(video) for video in videos], np.int32)
    later = int(lengths.max()) - 1
    step = max(4, 1 << later.bit_length() >> 4)
    frames = np.zeros((len(videos), 1 + -(-later // step) * step, *size), np.uint8)
    for row, video in zip(frames, videos):
        row[: len(video)] = video
    return frames, lengths


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A user's mask at the model's input size: bilinear with antialias, the object where at least half of it is.

    Args:
        mask: (H, W) bool.
        size: S, the side of the result in pixels.

    Returns:
        bool (S, S).
    """
    mask = np.asarray(mask, bool)
    if mask.shape == (size, size):
        return mask
    values = Image.fromarray(mask.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(values) >= 0.5


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
    check_planes(logits)
    if height < 1 or width < 1:
        raise ValueError(f"size is (H, W) of the result in pixels, both at least 1, but {tuple(size)} came.")
    planes = logits.reshape(-1, *logits.shape[-2:])
    resized = np.empty((len(planes), height, width), np.float32)
    for index, plane in enumerate(planes):
        resized[index] = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(*logits.shape[:-2], height, width)


def check_planes(logits: np.ndarray) -> None:
    if logits.ndim < 2 or 0 in logits.shape[-2:]:
        raise ValueError(f"Logits have the shape (..., h, w), with h and w at least 1, but {logits.shape} came.")
