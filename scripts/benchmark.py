# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.benchmark image|video|data`: how fast it is here, beside the PyTorch package if that is installed.

In: what to measure. Out: a table, or JSON.
"""

from scripts.benchmarks.data import data
from scripts.benchmarks.image import image
from scripts.benchmarks.video import video
from scripts.command import run_one_of

if __name__ == "__main__":
    run_one_of("benchmark", {"image": image, "video": video, "data": data})
