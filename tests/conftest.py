# SPDX-License-Identifier: Apache-2.0
"""What all tests share: quickly compiled programs, one cache of them, and rare searches for garbage."""

import gc
import os
import sys
from pathlib import Path

# Tests compile more than they compute: LLVM's optimizations cost twice the time that they save. Those of XLA stay.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
sys.path.insert(0, str(Path(__file__).parent))

from sam2_jax.compilation_cache import use_compilation_cache

use_compilation_cache()
gc.set_threshold(100_000)  # JAX's traces are large and mostly kept; by default a tenth of the time goes into searches
