# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.evaluate score --predictions DIR --truth DIR`: how good masks are, as benchmarks measure it.

In: what to evaluate. Out: a table, or JSON.
"""

from scripts.command import run_one_of
from scripts.evaluations.score import score

if __name__ == "__main__":
    run_one_of("evaluate", {"score": score})
