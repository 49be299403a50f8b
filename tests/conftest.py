# SPDX-License-Identifier: Apache-2.0
"""All tests share one cache of compiled programs, so that parallel workers and second runs compile less."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sam2_jax.compilation_cache import use_compilation_cache

use_compilation_cache()
