# SPDX-License-Identifier: Apache-2.0
"""The config that travels with weights of ours, in the metadata of whatever holds them.

In: metadata. Out: a `SAM2Config`.
"""

from collections.abc import Mapping
from pathlib import Path

from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.config import SAM2Config, change

KEY = "sam2_config"


def carried_config(fields: Mapping, path: Path) -> SAM2Config:
    """The config of the fields that were kept at `path`.

    Raises:
        CheckpointError: they are of another version.
    """
    try:
        return change(SAM2Config(), **fields)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds a config of another version: {error}") from None
