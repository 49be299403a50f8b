# SPDX-License-Identifier: Apache-2.0
"""How a run can end before its last step: what it raises, its exit code, and what it says.

In: an exception. Out: an exit code, and a sentence for what people can mend, or a traceback for a bug.
"""

import re
import traceback

from rich.text import Text

from train.metrics import console

# 75 is EX_TEMPFAIL: try again. 130 is what shells say of Ctrl-C.
BUG, BAD_INPUT, NOT_FINITE, ASKED_TO_END, INTERRUPTED = 1, 2, 3, 75, 130


class Preempted(Exception):  # noqa: N818, it is no error
    """The process was asked to end; a checkpoint of the last step is written."""


class NonFiniteLoss(ArithmeticError):  # noqa: N818 (it says what is not finite)
    """The loss or its gradient is no number any more; the sentence says where the batch is written down."""


EXPECTED = Preempted, NonFiniteLoss, ValueError, OSError
# What fails on a device, or between two, is a ValueError of the compiled function, and begins with one of these.
_OF_DEVICES = re.compile(
    "(ABORTED|CANCELLED|DATA_LOSS|DEADLINE_EXCEEDED|FAILED_PRECONDITION|INTERNAL|INVALID_ARGUMENT|RESOURCE_EXHAUSTED|"
    "UNAVAILABLE|UNIMPLEMENTED|UNKNOWN): "
)


def ending(error: BaseException) -> tuple[int, str]:
    """The exit code of a run that an exception ends, and what it says."""
    if isinstance(error, Preempted):
        return ASKED_TO_END, str(error)
    if isinstance(error, EXPECTED) and not _OF_DEVICES.match(str(error)):
        return NOT_FINITE if isinstance(error, NonFiniteLoss) else BAD_INPUT, f"error: {error}"
    code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else BUG
    return code, "".join(traceback.format_exception(error)).rstrip()


def say(text: str) -> None:
    """Writes to standard error, as it is."""
    message = Text(text)
    message.highlight_regex(r"^error:", "bold red")
    console.print(message, soft_wrap=True)
