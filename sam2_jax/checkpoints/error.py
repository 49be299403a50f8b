# SPDX-License-Identifier: Apache-2.0
"""What every reader and writer of checkpoints raises."""


class CheckpointError(ValueError):
    """The file is not a readable checkpoint, or the state is not a writable one."""
