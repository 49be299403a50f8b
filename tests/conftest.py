# SPDX-License-Identifier: Apache-2.0
"""What all tests share: quickly compiled programs, one cache of them, and rare searches for garbage."""

import gc
import sys
from pathlib import Path

import jax

sys.path.insert(0, str(Path(__file__).parent))

from sam2_jax.compilation_cache import use_compilation_cache

use_compilation_cache()
# Tests compile more than they compute: LLVM's optimizations cost twice the time that they save. Those of XLA stay.
jax.config.update("jax_disable_most_optimizations", True)
gc.set_threshold(100_000)  # JAX's traces are large and mostly kept; by default a tenth of the time goes into searches
