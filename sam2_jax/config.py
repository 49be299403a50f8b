# SPDX-License-Identifier: Apache-2.0
"""The numbers that make a model: `SAM2Config`, and the eight published models by name.

In: a published name such as ``sam2.1_hiera_tiny``, or the fields themselves. Out: a frozen, validated, hashable
config that a `SAM2` module carries. Sizes are those of Table 12 of the paper and of the published checkpoints.
"""

import dataclasses
import difflib

ATTENTION_IMPLEMENTATIONS = ("auto", "blocked", "xla", "cudnn", "flash")
PRECISIONS = ("default", "high", "highest")
DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class SAM2Config:
    """One SAM 2 model.

    A config says everything that shapes the network, so that a checkpoint and its config are enough to run it.
    Raises `ValueError` for a field out of its range, in one sentence that names the field.
    """

    name: str = "sam2.1_hiera_tiny"

    # Image encoder: Hiera, in four stages whose width and heads double and whose resolution halves (section D.1).
    embed_dim: int = 96
    num_heads: int = 1
    stages: tuple[int, ...] = (1, 2, 7, 2)  # blocks in each stage
    global_attention_blocks: tuple[int, ...] = (5, 7, 9)
    window_sizes: tuple[int, ...] = (8, 4, 14, 7)  # tokens on a side, for each stage
    position_embedding_size: tuple[int, int] = (7, 7)  # the global position embedding, interpolated to the input
    drop_path_rate: float = 0.1  # rises linearly over the blocks to this; training only

    # Everything behind the image encoder works at stride 16 on tokens of `hidden_dim` channels.
    image_size: int = 1024  # side of the square input, pixels
    hidden_dim: int = 256
    decoder_layers: int = 2
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048
    memory_dim: int = 64
    memory_attention_layers: int = 4
    memory_attention_mlp_dim: int = 2048
    memory_attention_dropout: float = 0.1  # training only

    # The memory bank (sections 4 and D.1).
    has_memory: bool = True  # False for weights that serve pictures only, as transformers' `Sam2Model`
    recent_frames: int = 6  # spatial memories of recent frames; one more temporal code is for prompted frames
    object_pointers: int = 16  # at most so many pointers are attended
    memory_stride: int = 1  # frames between recent memories, but for the latest; a longer memory, at inference only
    attended_prompted_frames: int | None = None  # of an object's prompted frames the nearest so many; None for all

    # What 2.1 added to 2.0.
    occlusion_embedding: bool = True  # a learned embedding is added to the memory of frames without the object
    pointer_temporal_codes: bool = True  # object pointers carry a code of how long ago they were made

    # After one click on a frame of a video one of three masks is believed. The published models take that of highest
    # predicted IoU, which may ignore the click; this takes one that heeds it, if there is one. At inference only.
    heed_clicks: bool = False

    # How it is computed: parameters stay float32; normalisation, softmax and rotary codes are float32 in any case.
    dtype: str = "float32"
    attention: str = "auto"
    precision: str = "default"  # of float32 products: TF32 on GPUs and bfloat16 on TPUs; "highest" is float32

    def __post_init__(self):
        # JSON gives lists back where tuples went in; a config must stay hashable.
        for name in ("stages", "global_attention_blocks", "window_sizes", "position_embedding_size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("embed_dim", "num_heads", "hidden_dim", "decoder_layers", "decoder_heads", "memory_dim"):
            _require(self, name, getattr(self, name) >= 1, "a positive number")
        _require(self, "image_size", self.image_size >= 32 and self.image_size % 32 == 0, "a positive multiple of 32")
        _require(self, "stages", len(self.stages) == 4 and min(self.stages) >= 1, "four positive numbers")
        _require(self, "window_sizes", len(self.window_sizes) == 4 and min(self.window_sizes) >= 1, "four sizes")
        # A block that pools its queries halves its window, which is that of the stage before: it must be even.
        _require(self, "window_sizes", all(size % 2 == 0 for size in self.window_sizes[:3]), "even but for the last")
        blocks = self.global_attention_blocks
        _require(self, "global_attention_blocks", all(0 <= b < sum(self.stages) for b in blocks), "indices of blocks")
        _require(self, "num_heads", self.embed_dim % self.num_heads == 0, f"a divisor of embed_dim {self.embed_dim}")
        _require(self, "hidden_dim", self.hidden_dim % 32 == 0, "a multiple of 32")
        _require(self, "memory_dim", self.hidden_dim % self.memory_dim == 0, f"a divisor of {self.hidden_dim}")
        _require(self, "memory_stride", self.memory_stride >= 1, "a positive number")
        nearest = self.attended_prompted_frames
        _require(self, "attended_prompted_frames", nearest is None or nearest >= 2, "None, or 2 and more")
        heads = self.decoder_heads
        _require(self, "decoder_heads", self.hidden_dim // 2 % heads == 0, f"a divisor of {self.hidden_dim // 2}")
        _require(self, "dtype", self.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
        _require(self, "attention", self.attention in ATTENTION_IMPLEMENTATIONS, f"one of {ATTENTION_IMPLEMENTATIONS}")
        _require(self, "precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")

    @property
    def embedding_size(self) -> int:
        """Side of the stride-16 feature map, tokens."""
        return self.image_size // 16

    @property
    def mask_size(self) -> int:
        """Side of the low-resolution mask logits, pixels: a quarter of the input."""
        return self.image_size // 4

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of the four stages."""
        return tuple(self.embed_dim * 2**stage for stage in range(4))


def _require(config: SAM2Config, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"SAM2Config.{name} is {getattr(config, name)!r}; expected {expected}.")


_SIZES = {
    "tiny": dict(stages=(1, 2, 7, 2), global_attention_blocks=(5, 7, 9)),
    "small": dict(stages=(1, 2, 11, 2), global_attention_blocks=(7, 10, 13)),
    "base_plus": dict(
        embed_dim=112,
        num_heads=2,
        stages=(2, 3, 16, 3),
        global_attention_blocks=(12, 16, 20),
        position_embedding_size=(14, 14),
        drop_path_rate=0.2,
    ),
    "large": dict(
        embed_dim=144,
        num_heads=2,
        stages=(2, 6, 36, 4),
        global_attention_blocks=(23, 33, 43),
        window_sizes=(8, 4, 16, 8),
        drop_path_rate=0.3,
    ),
}
_VERSIONS = {
    "sam2": dict(occlusion_embedding=False, pointer_temporal_codes=False),
    "sam2.1": {},
}

PUBLISHED: dict[str, SAM2Config] = {
    f"{version}_hiera_{size}": SAM2Config(name=f"{version}_hiera_{size}", **size_fields, **version_fields)
    for version, version_fields in _VERSIONS.items()
    for size, size_fields in _SIZES.items()
}

_SHORT = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}


def published_name(name: str) -> str | None:
    """The full name of a published model from any of its spellings, or None.

    It knows ``sam2.1_hiera_t``, ``sam2.1_hiera_tiny.pt``, ``facebook/sam2.1-hiera-base-plus``, ``sam2_hiera_b+.yaml``.
    """
    stem = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    for suffix in (".pt", ".pth", ".yaml", ".safetensors"):
        stem = stem.removesuffix(suffix)
    version, separator, size = stem.replace("-", "_").lower().partition("_hiera_")
    full = f"{version}{separator}{_SHORT.get(size, size)}"
    return full if full in PUBLISHED else None


def published_config(name: str, **changes) -> SAM2Config:
    """The config of a published model, with fields changed.

    Args:
        name: any spelling that `published_name` knows.
        **changes: fields of `SAM2Config` to set, such as ``image_size=512``.

    Raises:
        ValueError: the name is not a published model, or a field is unknown or out of range.
    """
    full = published_name(name)
    if full is None:
        close = difflib.get_close_matches(name, PUBLISHED, n=1, cutoff=0)[0]
        raise ValueError(f"{name!r} is not a published model; nearest is {close!r}. Known: {', '.join(PUBLISHED)}.")
    return change(PUBLISHED[full], **changes)


def change(config: SAM2Config, **changes) -> SAM2Config:
    """`dataclasses.replace` with an error that names an unknown field."""
    known = [field.name for field in dataclasses.fields(SAM2Config)]
    for name in changes:
        if name not in known:
            raise ValueError(f"SAM2Config has no field {name!r}; its fields are {', '.join(known)}.")
    return dataclasses.replace(config, **changes)
