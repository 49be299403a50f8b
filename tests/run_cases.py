# SPDX-License-Identifier: Apache-2.0
"""Tiny trainings in processes of their own, as they are typed: on some devices, on some hosts, and what they left."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from command_line import QUICK, ROOT
from flax import traverse_util

import sam2_jax

STEPS = 5
NO_REMATERIALISATION = [f"--set=rematerialise.{part}=false" for part in ("encoder", "memory", "decoder")]


def start(workdir, kind="pictures", sets=(), devices=1, arguments=(), config="tiny_run") -> subprocess.Popen:
    command = [sys.executable, "-m", "train", f"tests/{config}.py:{kind}", "--workdir", str(workdir), *arguments]
    command += [*NO_REMATERIALISATION, *(f"--set={text}" for text in sets)]
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": "tests", "COLUMNS": "500"}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | QUICK | environment, stderr=subprocess.PIPE, text=True)


def start_hosts(workdir, kind="pictures", sets=(), hosts=2, arguments=(), config="tiny_run") -> list[subprocess.Popen]:
    """So many processes of one run, with a device each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    who = ["--coordinator", address, "--processes", str(hosts), *arguments, "--process"]
    return [start(workdir, kind, sets, arguments=[*who, str(host)], config=config) for host in range(hosts)]


def finish(process: subprocess.Popen, code: int = 0) -> str:
    _, said = process.communicate(timeout=550)
    assert process.returncode == code, said
    return said


def until(workdir, step: int, process: subprocess.Popen) -> None:
    """Waits until the run has written down a step."""
    while process.poll() is None and (not (lines := records(workdir)) or lines[-1]["step"] < step):
        time.sleep(0.02)


def records(workdir) -> list[dict]:
    file = Path(workdir) / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def losses(workdir) -> list[float]:
    return [record["loss"] for record in records(workdir) if "loss" in record]


def steps_of(workdir) -> list[int]:
    return sorted(int(path.name) for path in (Path(workdir) / "checkpoints").iterdir() if path.name.isdigit())


def bits(workdir, step: int) -> dict[str, bytes]:
    _, params = sam2_jax.load(Path(workdir) / "checkpoints" / str(step))
    return {name: np.asarray(leaf).tobytes() for name, leaf in traverse_util.flatten_dict(params, sep="/").items()}
