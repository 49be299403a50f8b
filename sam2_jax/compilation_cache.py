# SPDX-License-Identifier: Apache-2.0
"""Compiled programs kept on disk, so that a second start is quick.

Nothing in the library calls this: scripts and the trainer do. JAX's own variables rule it: JAX_COMPILATION_CACHE_DIR
moves the cache, JAX_ENABLE_COMPILATION_CACHE=false turns it off.
"""

import os
from pathlib import Path

import jax


def use_compilation_cache() -> None:
    """Keeps compiled programs in ``~/.cache/sam2_jax``, where the user has not chosen a place."""
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(home / "sam2_jax" / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
