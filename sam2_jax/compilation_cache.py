# SPDX-License-Identifier: Apache-2.0
"""Compiled programs kept on disk or in a bucket, so that a second start is quick.

Nothing in the library calls this: scripts and the trainer do. JAX's own variables rule it: JAX_COMPILATION_CACHE_DIR
moves the cache, also to a bucket, and JAX_ENABLE_COMPILATION_CACHE=false turns it off.
"""

import os
from pathlib import Path

import jax

from sam2_jax.media.paths import as_path, is_remote


def use_compilation_cache(folder: Path | None = None) -> None:
    """Keeps compiled programs in a folder, ``~/.cache/sam2_jax`` without it, where the user has not chosen a place.

    Raises:
        ValueError: the user's place has a scheme that is not known, or not installed.
    """
    chosen = jax.config.jax_compilation_cache_dir
    if chosen is None:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        chosen = str(folder or home / "sam2_jax" / "compiled")
        jax.config.update("jax_compilation_cache_dir", chosen)
        # A small program, of which there are hundreds, is read from a disk sooner than compiled, but not from a bucket.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2 if is_remote(as_path(chosen)) else 0)
    if is_remote(as_path(chosen)):
        # XLA's own caches, of a GPU's kernels, are written by XLA itself, which knows disks alone.
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
