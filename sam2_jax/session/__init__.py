# SPDX-License-Identifier: Apache-2.0
"""Sessions: objects with prompts on any frame of a video, tracked and corrected, on the device and never waiting.

The predictors and the evaluation share them.
"""

from sam2_jax.session.objects import Part, Result, TrackedObject, result_of
from sam2_jax.session.runtime import Runtime
from sam2_jax.session.saved import load_session, save_session
from sam2_jax.session.session import Session
from sam2_jax.session.storage import Kept, SessionLimits

__all__ = [
    "Kept",
    "Part",
    "Result",
    "Runtime",
    "Session",
    "SessionLimits",
    "TrackedObject",
    "load_session",
    "result_of",
    "save_session",
]
