# SPDX-License-Identifier: Apache-2.0
"""Commands as they are typed: in a process of their own, or, which is quicker, in the tests' own."""

import importlib.util
import io
import os
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}  # as in the tests' own process; but not for what TPUs get


def run_process(*arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | QUICK | environment)


def run(module, *arguments) -> subprocess.CompletedProcess:
    """As in a process of its own, in this one, where most is traced and compiled already."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [module, *map(str, arguments)])
        try:
            runpy.run_path(importlib.util.find_spec(module).origin, run_name="__main__")
        except SystemExit as ended:
            code = ended.code
    return subprocess.CompletedProcess(sys.argv, code or 0, out.getvalue(), err.getvalue())
