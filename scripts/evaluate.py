# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.evaluate PROTOCOL --data DATA --weights W --out DIR`: how good a model is.

In: what to evaluate. Out: tables, or JSON; masks to hand in, a line for each object, pictures.
"""

from scripts.command import run_one_of
from scripts.evaluations.compare import compare
from scripts.evaluations.corrections import corrections
from scripts.evaluations.davis import davis
from scripts.evaluations.davis_official import davis_official
from scripts.evaluations.images import images
from scripts.evaluations.interactive import offline, online
from scripts.evaluations.report import report
from scripts.evaluations.score import score
from scripts.evaluations.speed import speed
from scripts.evaluations.vos import vos

if __name__ == "__main__":
    run_one_of(
        "evaluate",
        {"vos": vos, "offline": offline, "online": online, "images": images, "corrections": corrections, "davis": davis}
        | {"davis-official": davis_official, "speed": speed, "report": report, "compare": compare, "score": score},
    )
