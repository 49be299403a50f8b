# SPDX-License-Identifier: Apache-2.0
"""The simulated user, the rollout and the losses: as published, and what a training step may depend on."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_model
from training_cases import make_clip

from sam2_jax.types import Label
from train.frame import Answer, Kind, Rematerialise
from train.losses import LossWeights, clip_loss, measure_step
from train.prompts import FIRST_POINTS, Decisions, FirstPrompt, SimulatedUser, draw_decisions, processing_order
from train.rollout import rollout

TESTS = Path(__file__).parent
USER = SimulatedUser(clicks=2)
WEIGHTS = LossWeights()
KEY = jax.random.key(7)
SIZE = 64
NONE, MASK, CLICK, BOX = FirstPrompt


@pytest.fixture(scope="module")
def model_and_params():
    # Shallow, since compiling is what takes the time; and nothing is dropped, so that runs compare.
    return small_model(
        stages=(1, 1, 1, 1), decoder_layers=1, attention="xla", drop_path_rate=0.0, memory_attention_dropout=0.0
    )


def make_batch(seeds: list[int], length: int, objects: int) -> dict:
    clips = [make_clip(length, objects, SIZE, seed) for seed in seeds]
    frames, masks = (np.stack(arrays) for arrays in zip(*clips))
    return dict(frames=frames, masks=masks, valid=np.ones((len(seeds), objects), bool))


def decide(first: list[FirstPrompt], corrected: list[bool]) -> Decisions:
    first = jnp.array(first, jnp.int32)
    return Decisions(first, jnp.array(corrected), processing_order(first), jnp.zeros((len(first), USER.clicks), bool))


@functools.partial(jax.jit, static_argnums=(0, 4))
def gradients(model, params, batch, decisions, rematerialise=Rematerialise()):  # noqa: B008, it is frozen
    """The gradients of the loss, and the metrics."""

    def loss(params):
        return clip_loss(model, params, batch, decisions, KEY, USER, WEIGHTS, rematerialise)

    return jax.grad(loss, has_aux=True)(params)


@functools.partial(jax.jit, static_argnums=0)
def look(model, params, batch, decisions):
    """The answers at every step, and the user's points."""

    def say(answer, truth):
        return dict(kind=answer.kind, logits=answer.logits, ious=answer.ious, object_score=answer.object_score)

    return rollout(model, params, batch["frames"], batch["masks"], decisions, KEY, USER, say, Rematerialise())


def assert_alike(ours, expected, tolerance=1e-4):
    """Trees of arrays whose differences are small beside them, or beside the largest where they are rounding errors."""
    largest = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(expected) if np.isfinite(leaf).all())
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(expected)):
        error = np.linalg.norm(np.nan_to_num(a) - np.nan_to_num(b))
        assert error <= tolerance * np.linalg.norm(np.nan_to_num(b)) + 1e-7 * largest, (path, error)


@pytest.fixture(scope="module")
def drawn():
    """Decisions on 4,000 clips of 8 frames, as NumPy arrays."""
    keys = jax.random.split(KEY, 4000)
    return jax.device_get(jax.jit(jax.vmap(lambda key: draw_decisions(key, 8, SimulatedUser())))(keys))


def test_half_of_the_clips_get_masks_and_a_quarter_each_clicks_and_boxes(drawn):
    for kind, share in ((MASK, 0.5), (CLICK, 0.25), (BOX, 0.25)):
        assert abs((drawn.first[:, 0] == kind).mean() - share) < 0.03
    masks = (drawn.first == MASK).any(-1)
    # A clip is given masks or points; each prompted frame then has a click or a box of its own.
    assert not ((drawn.first == CLICK) | (drawn.first == BOX))[masks].any()
    two = ~masks & ((drawn.first != NONE).sum(-1) == 2)
    mixed = ((drawn.first == CLICK).any(-1) & (drawn.first == BOX).any(-1))[two]
    assert abs(mixed.mean() - 0.5) < 0.05


def test_one_or_two_frames_are_prompted_and_up_to_two_corrected_the_first_always(drawn):
    prompted = drawn.first != NONE
    masks = (drawn.first == MASK).any(-1)
    count, corrected = prompted.sum(-1), drawn.corrected.sum(-1)
    assert prompted[:, 0].all()
    assert abs((count == 1).mean() - 0.5) < 0.03 and abs((count == 2).mean() - 0.5) < 0.03
    assert not drawn.corrected[masks].any()
    assert drawn.corrected[~masks][prompted[~masks]].all()
    assert (corrected[~masks & (count == 2)] == 2).all()
    alone = ~masks & (count == 1)
    assert abs((corrected[alone] == 2).mean() - 0.5) < 0.05
    # The other frame is any of the rest.
    assert np.abs(prompted[count == 2, 1:].mean(0) - 1 / 7).max() < 0.03
    assert np.abs(drawn.corrected[alone & (corrected == 2), 1:].mean(0) - 1 / 7).max() < 0.06


def test_after_masks_the_other_frames_are_corrected_where_that_is_asked_for():
    def draw(corrects):
        user = SimulatedUser(corrected_frames=4, corrects_after_masks=corrects)
        return jax.device_get(jax.jit(jax.vmap(lambda key: draw_decisions(key, 8, user)))(jax.random.split(KEY, 2000)))

    never, drawn = draw(False), draw(True)
    np.testing.assert_array_equal(drawn.first, never.first)
    masks = (drawn.first == MASK).any(-1)
    np.testing.assert_array_equal(drawn.corrected[~masks], never.corrected[~masks])
    assert not drawn.corrected[drawn.first == MASK].any()
    one, two = (drawn.corrected[masks & ((drawn.first != NONE).sum(-1) == count)].sum(-1) for count in (1, 2))
    # One to four frames are prompted or corrected, and two to four where two are prompted.
    assert set(one) == {0, 1, 2, 3} and abs(one.mean() - 1.5) < 0.15
    assert set(two) == {0, 1, 2} and abs(two.mean() - 1.0) < 0.15


def test_a_tenth_of_the_clicks_ignore_the_errors(drawn):
    assert drawn.on_truth.shape == (4000, 8, 7)
    assert abs(drawn.on_truth.mean() - 0.1) < 0.005


def test_prompted_frames_are_processed_first_then_the_others_in_time(drawn):
    for first, order in zip(drawn.first[:100], drawn.order):
        prompted = np.flatnonzero(first != NONE).tolist()
        assert order.tolist() == prompted + [frame for frame in range(8) if frame not in prompted]


def test_pictures_get_a_click_or_a_box_and_all_corrections():
    keys = jax.random.split(KEY, 1000)
    drawn = jax.device_get(jax.jit(jax.vmap(lambda key: draw_decisions(key, 1, SimulatedUser())))(keys))
    assert drawn.corrected.all()
    assert not np.isin(drawn.first, (NONE, MASK)).any()
    assert abs((drawn.first == BOX).mean() - 0.5) < 0.05


def test_an_impossible_user_is_refused():
    with pytest.raises(ValueError, match=r"SimulatedUser.corrected_frames is 1; expected at least prompted_frames, 2"):
        SimulatedUser(corrected_frames=1)
    with pytest.raises(ValueError, match=r"SimulatedUser.mask_probability is 1.5; expected a probability"):
        SimulatedUser(mask_probability=1.5)


def made_up_answer(kind: Kind, object_score: float = 1.0) -> tuple[Answer, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.zeros((1, 1, 32, 32), bool)
    truth[..., 8:20, 4:16] = True
    answer = Answer(
        kind=jnp.int32(kind),
        logits=jnp.array(rng.normal(0, 2, (1, 1, 4, 8, 8)), jnp.float32),
        ious=jnp.array(rng.uniform(0, 1, (1, 1, 4)), jnp.float32),
        object_score=jnp.full((1, 1), object_score),
    )
    return answer, truth


def losses_by_hand(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Focal and dice loss and intersection over union of one mask, (32, 32) logits, from the formulas."""
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    focal = np.where(truth, -0.25 * (1 - p) ** 2 * np.log(p), -0.75 * p**2 * np.log(1 - p)).mean()
    dice = 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    overlap = ((logits > 0) & truth).sum() / max(((logits > 0) | truth).sum(), 1)
    return focal, dice, overlap


@pytest.mark.parametrize("kind", [Kind.AMBIGUOUS, Kind.CLEAR])
def test_the_best_mask_is_supervised_and_every_predicted_iou(kind):
    answer, truth = made_up_answer(kind)
    large = np.asarray(jax.image.resize(answer.logits[0, 0], (4, 32, 32), "linear"))
    candidates = range(1, 4) if kind == Kind.AMBIGUOUS else [0]
    by_hand = [losses_by_hand(large[index], truth[0, 0]) for index in candidates]
    ious = np.asarray(answer.ious[0, 0])[list(candidates)]
    focal, dice, _ = min(by_hand, key=lambda losses: 20 * losses[0] + losses[1])
    overlaps = np.array([overlap for _, _, overlap in by_hand])
    measures = measure_step(answer, truth, WEIGHTS)
    np.testing.assert_allclose(measures.focal, [[focal]], rtol=1e-5)
    np.testing.assert_allclose(measures.dice, [[dice]], rtol=1e-5)
    np.testing.assert_allclose(measures.iou, [[np.abs(ious - overlaps).mean()]], rtol=1e-5)
    np.testing.assert_allclose(measures.occlusion, [[np.log1p(np.exp(-1.0))]], rtol=1e-5)
    np.testing.assert_allclose(measures.overlap, [[overlaps[ious.argmax()]]], rtol=1e-6)


@pytest.mark.parametrize("kind", Kind)
def test_an_absent_object_costs_only_its_occlusion_loss(kind):
    answer, truth = made_up_answer(kind, object_score=0.5)
    measures = measure_step(answer, np.zeros_like(truth), WEIGHTS)
    assert float(measures.focal[0, 0]) == float(measures.dice[0, 0]) == float(measures.iou[0, 0]) == 0
    score = -10 if kind == Kind.GIVEN else 0.5
    np.testing.assert_allclose(measures.occlusion, [[np.log1p(np.exp(score))]], rtol=1e-5)
    assert float(measures.right[0, 0]) == (kind == Kind.GIVEN)


def test_a_given_mask_is_taken_as_the_answer():
    answer, truth = made_up_answer(Kind.GIVEN, object_score=-3.0)
    measures = measure_step(answer, truth, WEIGHTS)
    assert float(measures.iou[0, 0]) == 0 and float(measures.overlap[0, 0]) == 1
    np.testing.assert_allclose(measures.occlusion, [[np.log1p(np.exp(-10.0))]], rtol=1e-4)


# The last of three frames is prompted, so it is processed second.
OF_THREE = decide([CLICK, NONE, BOX], [True, False, True])


@pytest.fixture(scope="module")
def seen(model_and_params):
    """What the model answers on a clip, and the points of the user."""
    return jax.device_get(look(*model_and_params, make_batch([0], 3, 2), OF_THREE))


def test_only_corrected_frames_get_clicks(seen):
    answers, points = seen
    used = points.labels[:, 0] != Label.PADDING  # (T, O, 2 + clicks)
    assert used[0].tolist() == [[True, False, True, True]] * 2
    assert not used[1].any()
    assert used[2].all()
    assert points.labels[2, 0, :, :FIRST_POINTS].tolist() == [[Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]] * 2
    assert not np.any(answers["logits"][1, 1:]) and np.any(answers["logits"][1, 0])
    assert answers["kind"].tolist() == [[Kind.AMBIGUOUS, Kind.CLEAR, Kind.CLEAR], [0, 0, 0], [Kind.CLEAR] * 3]


def test_clicks_go_where_the_answer_before_was_wrong(seen):
    answers, points = seen
    truth = make_batch([0], 3, 2)["masks"]
    for frame in (0, 2):
        for click in range(USER.clicks):
            ambiguous = answers["kind"][frame, click] == Kind.AMBIGUOUS
            ious = answers["ious"][frame, click, 0]
            for number in range(2):
                index = 1 + ious[number, 1:].argmax() if ambiguous else 0
                logits = answers["logits"][frame, click, 0, number, index]
                predicted = np.asarray(jax.image.resize(logits, (SIZE, SIZE), "linear")) > 0
                x, y = points.xy[frame, 0, number, FIRST_POINTS + click].astype(int)
                label = points.labels[frame, 0, number, FIRST_POINTS + click]
                assert predicted[y, x] != truth[0, frame, number, y, x]
                assert (label == Label.FOREGROUND) == truth[0, frame, number, y, x]


def test_recorded_points_replay_the_run(model_and_params, seen):
    answers, points = seen
    again, same_points = look(*model_and_params, make_batch([0], 3, 2), OF_THREE.replace(points=points))
    assert_alike(again, answers)
    np.testing.assert_array_equal(same_points.labels, points.labels)


def test_no_frame_sees_one_that_is_processed_later(model_and_params, seen):
    """Prompted frames see nothing; tracked ones see all prompted ones, whenever they are, and the past."""
    decisions = OF_THREE.replace(points=seen[1])
    expected = look(*model_and_params, make_batch([0], 3, 2), decisions)[0]["logits"]
    for changed, may_change in ((0, {0, 1}), (1, {1}), (2, {1, 2})):
        batch = make_batch([0], 3, 2)
        batch["frames"][:, changed] = 255 - batch["frames"][:, changed]
        logits = look(*model_and_params, batch, decisions)[0]["logits"]
        differ = {frame for frame in range(3) if np.abs(logits[frame] - expected[frame]).max() > 1e-3}
        assert differ == may_change


def test_an_object_gets_the_same_in_other_company(model_and_params, seen):
    answers, points = seen
    batch = make_batch([0], 3, 2)
    batch["masks"][:, :, 1] = ~batch["masks"][:, :, 1]
    others, other_points = look(*model_and_params, batch, OF_THREE)
    np.testing.assert_array_equal(other_points.xy[:, :, 0], points.xy[:, :, 0])
    for ours, expected in zip(jax.tree.leaves(others), jax.tree.leaves(answers)):
        if ours.ndim > 2:
            np.testing.assert_allclose(ours[:, :, :, 0], expected[:, :, :, 0], atol=1e-4)
    assert np.abs(other_points.xy[:, :, 1] - points.xy[:, :, 1]).max() > 1


OF_TWO = decide([CLICK, NONE], [True, False])


@pytest.mark.slow
def test_padding_objects_change_neither_loss_nor_gradients(model_and_params):
    padded = make_batch([0], 2, 2)
    padded["valid"][0, 1] = False
    alone = padded | dict(masks=padded["masks"][:, :, :1], valid=padded["valid"][:, :1])
    assert_alike(gradients(*model_and_params, padded, OF_TWO), gradients(*model_and_params, alone, OF_TWO))


@pytest.mark.slow
def test_a_batch_shares_its_loss_among_its_objects(model_and_params):
    both = make_batch([0, 1], 2, 2)
    both["valid"][1, 1] = False
    # A clip's clicks depend on its place in the batch; recorded ones do not.
    points = look(*model_and_params, both, OF_TWO)[1]
    ours = gradients(*model_and_params, both, OF_TWO.replace(points=points))
    alone = [
        gradients(
            *model_and_params,
            {name: array[[clip]] for name, array in both.items()},
            OF_TWO.replace(points=jax.tree.map(lambda x: x[:, [clip]], points)),  # noqa: B023
        )
        for clip in range(2)
    ]
    shared = jax.tree.map(lambda a, b: (2 * a + b) / 3, *alone)
    assert_alike(ours[0], shared[0])
    for name in ("loss", "loss/focal", "loss/dice", "loss/iou", "loss/occlusion"):
        np.testing.assert_allclose(ours[1][name], shared[1][name], rtol=1e-5)


@pytest.mark.slow
def test_what_is_made_anew_changes_no_gradient(model_and_params):
    batch = make_batch([0], 2, 1)
    expected = gradients(*model_and_params, batch, OF_TWO)
    for kept in ("encoder", "memory", "decoder"):
        policy = Rematerialise(**{kept: False})
        assert_alike(gradients(*model_and_params, batch, OF_TWO, policy), expected)


@pytest.mark.slow
def test_what_is_dropped_is_drawn_from_the_key():
    model, params = small_model(stages=(1, 1, 1, 1), decoder_layers=1, attention="xla")
    batch, decisions = make_batch([0], 2, 1), decide([MASK, NONE], [False, False])

    @jax.jit
    def loss(params, key):
        return clip_loss(model, params, batch, decisions, key, USER, WEIGHTS)[0]

    same, again, other = (float(loss(params, jax.random.key(seed))) for seed in (0, 0, 1))
    assert same == again != other


@pytest.mark.slow
@pytest.mark.parametrize("case", ["picture", "clicks", "click_and_box", "masks", "absent"])
def test_losses_and_gradients_are_the_published_ones(case):
    command = [sys.executable, "-m", "tests.replay_training", f"tests/recorded/training_{case}.npz", "--json"]
    finished = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    assert json.loads(finished.stdout)["gradients"]["compared"] > 400
