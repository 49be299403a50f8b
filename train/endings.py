# SPDX-License-Identifier: Apache-2.0
"""How a run can end before its last step: what it raises, its exit code, and what it says.

In: an exception. Out: an exit code, and a sentence for what people can mend, or a traceback for a bug.
"""

import traceback

from rich.text import Text

from train.metrics import console

# 75 is EX_TEMPFAIL: try again. 130 is what shells say of Ctrl-C.
BUG, BAD_INPUT, NOT_FINITE, ASKED_TO_END, INTERRUPTED = 1, 2, 3, 75, 130


class Preempted(Exception):  # noqa: N818, it is no error
    """The process was asked to end; a checkpoint of the last step is written."""


class NonFiniteLoss(ArithmeticError):  # noqa: N818 (it says what is not finite)
    """The loss or its gradient is no number any more; the sentence says where the batch is written down."""


_CODES = {
    Preempted: ASKED_TO_END,
    NonFiniteLoss: NOT_FINITE,
    ValueError: BAD_INPUT,
    OSError: BAD_INPUT,
    KeyboardInterrupt: INTERRUPTED,
}
EXPECTED = Preempted, NonFiniteLoss, ValueError, OSError


def ending(error: BaseException) -> tuple[int, str]:
    """The exit code of a run that an exception ends, and what it says."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), BUG)
    if isinstance(error, Preempted):
        return code, str(error)
    if isinstance(error, EXPECTED):
        return code, f"error: {error}"
    return code, "".join(traceback.format_exception(error)).rstrip()


def say(text: str) -> None:
    """Writes to standard error, as it is."""
    said = Text(text)
    said.highlight_regex(r"^error:", "bold red")
    console.print(said, soft_wrap=True)
