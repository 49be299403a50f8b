# SPDX-License-Identifier: Apache-2.0
"""Sessions: objects with prompts on any frame of a video, tracked and corrected, on the device and never waiting.

The predictors and the evaluation share them.
"""

from sam2_jax.session.objects import Result, TrackedObject, result_of, unstack
from sam2_jax.session.session import Runtime, Session
from sam2_jax.session.storage import SessionLimits

__all__ = ["Result", "Runtime", "Session", "SessionLimits", "TrackedObject", "result_of", "unstack"]
