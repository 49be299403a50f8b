# SPDX-License-Identifier: Apache-2.0
"""What the code answers today, kept in a file, so that a rewrite can be held against the code before it.

    PYTHONPATH=.:tests python tests/traces.py record before.npz      # in a checkout of the commit before
    PYTHONPATH=.:tests python tests/traces.py record after.npz
    PYTHONPATH=.:tests python tests/traces.py compare before.npz after.npz

Twenty random sessions, a scan, protocols of evaluation on ten videos, and the loss and gradients of a step.
"""

import dataclasses
import sys
from collections.abc import Iterator

import jax
import numpy as np
import random_sessions
from flax import traverse_util
from small import small_model
from training_cases import make_clip
from video_cases import frames

import sam2_jax
from data.synthetic import SyntheticVideos
from sam2_jax.compilation_cache import use_compilation_cache
from sam2_jax.evaluation.clips import open_clip
from sam2_jax.evaluation.model_session import ModelSession
from sam2_jax.predictors import SAM2VideoPredictor
from sam2_jax.tracking import segment_video
from train.losses import LossWeights, clip_loss
from train.prompts import SimulatedUser, draw_decisions

Trace = Iterator[tuple[str, np.ndarray]]


def sessions() -> Trace:
    model, params = small_model(image_size=128)
    settings = list(random_sessions.SETTINGS.items())
    for seed in range(20):
        name, options = settings[seed % len(settings)]
        predictor = SAM2VideoPredictor(model, params, fill_hole_area=8 if seed % 8 > 3 else 0, **options)
        state = predictor.init_state(frames())
        for number, (action, answers) in enumerate(random_sessions.play(predictor, state, seed)):
            where = f"session {seed} ({name}), {number}: {action}"
            if isinstance(answers, str):
                yield f"{where}: {answers}", np.zeros(0)
            for frame, ids, masks in answers if not isinstance(answers, str) else ():
                yield f"{where}, frame {frame} of {ids}", np.asarray(masks, np.float32)[..., ::5, ::5]


def scan() -> Trace:
    model, params = sam2_jax.load("nano", image_size=128)
    videos = np.stack([np.stack([frame[:90, shift : shift + 90] for frame in frames()]) for shift in (0, 35, 70)])
    videos = np.stack([[np.kron(frame, np.ones((2, 2, 1), np.uint8))[:128, :128] for frame in v] for v in videos])
    masks = np.zeros((3, 2, 128, 128), np.float32)
    masks[:, 0, 30:70, 20:60] = masks[:, 1, 60:110, 70:110] = 1
    prediction = segment_video(model, params, videos, masks=masks)
    for name, value in dataclasses.asdict(prediction).items():
        yield f"scan: {name}", np.asarray(value)


def evaluation() -> Trace:
    model, params = sam2_jax.load("nano", image_size=128)
    source = SyntheticVideos(0, 10, frames=10, size=128)
    for number in range(10):
        clip = open_clip(source, number)
        session = ModelSession(model, params, clip)
        session.give("mask")
        passed = list(session.track())
        yield f"evaluation {number}: masks", np.stack([tracked.logits for tracked in passed])
        session = ModelSession(model, params, clip)
        session.click(clip.starts, 3)
        passed = list(session.track())
        ious = np.stack([tracked.ious for tracked in passed])
        yield f"evaluation {number}: offline, before", ious
        session.click(np.argmin(np.where(np.isnan(ious), 2, ious), axis=0), 3)
        yield f"evaluation {number}: offline", np.stack([tracked.logits for tracked in session.track()])
        session = ModelSession(model, params, clip)
        session.click(clip.starts, 1)
        passed = list(session.track_and_pause(0.75, 4, 3))
        yield f"evaluation {number}: online", np.stack([tracked.logits for tracked in passed])


def training() -> Trace:
    model, params = small_model(drop_path_rate=0.0)
    user = SimulatedUser(clicks=2)
    clips, masks = (np.stack(arrays) for arrays in zip(*(make_clip(4, 2, 64, seed) for seed in (0, 1))))
    batch = dict(frames=clips, masks=masks, valid=np.ones((2, 2), bool))

    @jax.jit
    def step(params, decisions, key):
        return jax.value_and_grad(
            lambda params: clip_loss(model, params, batch, decisions, key, user, LossWeights())[0]
        )(params)

    for seed in (0, 1, 2):
        key = jax.random.key(seed)
        loss, gradients = step(params, draw_decisions(key, 4, user), key)
        yield f"training {seed}: loss", np.asarray(loss)
        for name, value in traverse_util.flatten_dict(gradients, sep="/").items():
            yield f"training {seed}: {name}", np.asarray(value)


def record(path: str) -> None:
    traces = {}
    for part in (sessions, scan, evaluation, training):
        found = dict(part())
        print(f"{part.__name__}: {len(found)}", flush=True)
        traces |= found
    np.savez_compressed(path, **traces)


def compare(before: str, after: str) -> None:
    """Prints what differs, and the largest difference of each part."""
    with np.load(before) as old, np.load(after) as new:
        for name in sorted(old.keys() ^ new.keys()):
            print(f"only {'before' if name in old else 'after'}: {name}")
        worst = {}
        for name in old.keys() & new.keys():
            a, b = old[name], new[name]
            if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
                print(f"{name}: {a.shape} before, {b.shape} after, or not numbers in other places")
                continue
            error = float(np.linalg.norm(np.nan_to_num(a - b)) / max(np.linalg.norm(np.nan_to_num(a)), 1e-30))
            if error > 1e-3:
                print(f"{name}: {error:.1e}")
            worst[name.split()[0]] = max(error, worst.get(name.split()[0], 0.0))
        print("largest relative differences:", worst)


if __name__ == "__main__":
    use_compilation_cache()
    {"record": record, "compare": compare}[sys.argv[1]](*sys.argv[2:])
