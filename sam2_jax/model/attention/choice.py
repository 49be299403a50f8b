# SPDX-License-Identifier: Apache-2.0
"""Which way to compute an attention call: a pure function of its shapes, its type and the target.

In: a `Call`, a `Target`, and what the config asks for. Out: the name of a way that accepts the call.
"""

import dataclasses

from sam2_jax.target import Target

# Up to so many scores of a head a score matrix is cheaper than a kernel. Memory attention at 256 pixels stays below.
KERNEL_FROM = 2**20
NO_MASK, BY_LENGTH, BY_KEY = "no mask", "by length", "by key"


@dataclasses.dataclass(frozen=True)
class Call:
    """An attention call, as far as the choice depends on it.

    Attributes:
        rows: B; each has its own keys.
        queries, keys: tokens of a row.
        heads: number of heads.
        dim, value_dim: D of queries and keys, and of values.
        dtype: "float32" or "bfloat16".
        mask: whether all keys count, the first so many of each row, or any of them.
        train: whether it is differentiated.
    """

    rows: int
    queries: int
    keys: int
    heads: int
    dim: int
    value_dim: int
    dtype: str
    mask: str
    train: bool

    @property
    def scores(self) -> int:
        """Scores of one head of one row."""
        return self.queries * self.keys


def choose(call: Call, target: Target, wanted: str = "auto") -> str:
    """The way to compute a call: ``xla``, ``blocked``, ``cudnn`` or ``flash``.

    No way but ``xla`` ever holds a whole score matrix. A kernel that is asked for by name takes the calls that it
    accepts, and the others go where ``auto`` would send them without it.

    Args:
        wanted: ``attention`` of the config.
    """
    if wanted in ("xla", "blocked"):
        return wanted
    if target.platform == "cpu" and target.devices == 1 and wanted == "auto":
        return "blocked"
    if call.scores < KERNEL_FROM:
        return "xla"
    kernels = {"tpu": "flash", "gpu": "cudnn"} if wanted == "auto" else {target.platform: wanted}
    kernel = kernels.get(target.platform)
    if kernel == "flash" and call.rows % target.devices == 0:
        return "flash"
    if kernel == "cudnn" and cudnn_accepts(call, target.capability):
        return "cudnn"
    return "blocked"


def cudnn_accepts(call: Call, capability: float) -> bool:
    """Whether the fused kernel of NVIDIA GPUs computes a call, backward pass included where it is differentiated.

    It takes 16-bit types, heads in multiples of 8 channels, and lengths, but no mask of single keys. Heads of more than
    128 channels are Hopper's alone: Ampere has no kernel, what versions of cuDNN accept on Blackwell differs, and their
    backward pass has not been run on a GPU.
    """
    if call.dtype == "float32" or call.mask == BY_KEY or capability < 8 or call.dim % 8 or call.value_dim > call.dim:
        return False
    return call.dim <= 128 or (call.dim <= 256 and 9 <= capability < 10 and not call.train)
