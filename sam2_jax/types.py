# SPDX-License-Identifier: Apache-2.0
"""The words of the whole package: the letters of the axes, and the arrays that pass between its rooms.

Axis letters, used in every docstring:

    B  pictures or clips of a batch        H, W  height and width, pixels or tokens as said
    T  frames, in time                     C     channels; D channels of one attention head
    O  objects                             N     tokens
    P  points of one prompt                M     masks predicted for one prompt
    S  side of the square model input      K     memory slots

Points are (x, y) in pixels of the model input, with (0, 0) at the top left corner of the top left pixel.
"""

import enum

import jax
from flax import struct

ABSENT = -1024.0  # the mask logit of an object that is not in the frame


class Label(enum.IntEnum):
    """What a point of a prompt is."""

    PADDING = -2  # fills a fixed-size array; changes nothing
    NOT_A_POINT = -1  # the published networks' own padding token: it is attended
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


@struct.dataclass
class FrameFeatures:
    """What the image encoder says of a frame; made once, used by every object and every click.

    Attributes:
        embedding: (B, S/16, S/16, C) what memory attention and the mask decoder work on.
        stride_8: (B, S/8, S/8, C/4) and
        stride_4: (B, S/4, S/4, C/8) the decoder's skips (Figure 8), already projected.
    """

    embedding: jax.Array
    stride_8: jax.Array
    stride_4: jax.Array


@struct.dataclass
class Prompts:
    """What a user says of O objects in each of B pictures.

    Attributes:
        points: (B, O, P, 2) float32, pixels of the model input.
        labels: (B, O, P) int32, a `Label` each; a box is two points.
        masks: (B, O, S/4, S/4) float32 logits of an earlier mask, or None.
        has_mask: (B, O) bool, which of `masks` count; None where all do.
    """

    points: jax.Array
    labels: jax.Array
    masks: jax.Array | None = None
    has_mask: jax.Array | None = None


@struct.dataclass
class DecodedMasks:
    """All that the mask decoder says of each object: mask 0 is for clear prompts, 1 to 3 for ambiguous ones.

    Attributes:
        logits: (B, O, 4, S/4, S/4) float32 mask logits.
        ious: (B, O, 4) float32 predicted intersection over union of each mask with the object.
        tokens: (B, O, 4, C) output tokens of the masks, from which object pointers are made.
        object_score: (B, O) float32 logit that the object is in the frame at all.
    """

    logits: jax.Array
    ious: jax.Array
    tokens: jax.Array
    object_score: jax.Array


@struct.dataclass
class MaskPrediction:
    """What is believed of O objects on one frame of each of B videos.

    Attributes:
        logits: (B, O, S/4, S/4) float32 mask logits; `ABSENT` everywhere where the object is not in the frame.
        iou: (B, O) float32 predicted intersection over union of the mask with the object.
        object_score: (B, O) float32 logit that the object is in the frame.
        pointer: (B, O, C) float32 the object pointer, for the memory bank.
    """

    logits: jax.Array
    iou: jax.Array
    object_score: jax.Array
    pointer: jax.Array
