# SPDX-License-Identifier: Apache-2.0
"""Scan, session and stream are one; an object in company gets what it gets alone; the state never grows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_model

from sam2_jax import memory_bank
from sam2_jax.media import resize_frame, resize_logits
from sam2_jax.predictors import SAM2StreamPredictor, SAM2VideoPredictor
from sam2_jax.predictors.prompts import prepare_prompts
from sam2_jax.segmentation import encode_frames
from sam2_jax.tracking import predict_with_memory, segment_video, track_frame

LENGTH, HEIGHT, WIDTH = 18, 48, 64
FRAMES = np.random.default_rng(0).integers(0, 255, (LENGTH, HEIGHT, WIDTH, 3), np.uint8)
CLICK = dict(points=np.array([[20, 20]]), labels=np.array([1]))
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[10:30, 20:40] = True


@pytest.fixture(scope="module")
def model_and_params():
    return small_model()


def session_masks(model_and_params, prompts: dict, **options) -> np.ndarray:
    """(T, O, H, W) logits of a session with prompts on the first frame."""
    predictor = SAM2VideoPredictor(*model_and_params, **options)
    state = predictor.init_state(FRAMES)
    for obj_id, prompt in prompts.items():
        if isinstance(prompt, dict):
            predictor.add_new_points_or_box(state, 0, obj_id, **prompt)
        else:
            predictor.add_new_mask(state, 0, obj_id, prompt)
    return np.stack([masks[:, 0] for _, _, masks in predictor.propagate_in_video(state)])


def test_a_stream_gives_what_a_session_gives(model_and_params):
    expected = session_masks(model_and_params, {7: CLICK, 9: MASK})
    stream = SAM2StreamPredictor(*model_and_params)
    stream.add_frame(FRAMES[0])
    stream.add_new_points_or_box(7, **CLICK)
    answers = [stream.add_new_mask(9, MASK)] + [stream.add_frame(frame) for frame in FRAMES[1:]]
    assert answers[-1].obj_ids == [7, 9]
    np.testing.assert_allclose(np.stack([a.masks[:, 0] for a in answers]), expected, atol=1e-4)


def test_a_scan_gives_what_a_session_gives(model_and_params):
    model, params = model_and_params
    expected = session_masks(model_and_params, {1: CLICK}, fill_hole_area=0)[:, 0]
    prompts, _ = prepare_prompts(CLICK["points"], CLICK["labels"], None, None, (HEIGHT, WIDTH), 64)
    frames = np.stack([resize_frame(frame, 64) for frame in FRAMES])[None]
    answer = segment_video(model, params, frames, prompts)
    assert answer.logits.shape == (1, LENGTH, 1, 16, 16)
    ours = resize_logits(np.asarray(answer.logits[0, :, 0]), (HEIGHT, WIDTH))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_a_video_in_a_batch_is_tracked_as_alone(model_and_params):
    model, params = model_and_params
    prompts, _ = prepare_prompts(CLICK["points"], CLICK["labels"], None, None, (HEIGHT, WIDTH), 64)
    frames = np.stack([resize_frame(frame, 64) for frame in FRAMES[:10]]).reshape(2, 5, 64, 64, 3)
    both = jax.tree.map(lambda x: np.concatenate([x, x]), prompts)
    together = segment_video(model, params, frames, both)
    for index in range(2):
        alone = segment_video(model, params, frames[index : index + 1], prompts)
        np.testing.assert_allclose(together.logits[index], alone.logits[0], atol=1e-4)


def test_sixteen_objects_get_what_each_gets_alone(model_and_params):
    rng = np.random.default_rng(1)
    prompts = {
        obj_id: dict(points=rng.uniform(0, 48, (1, 2)), labels=np.array([1]))
        if obj_id % 2
        else rng.random(MASK.shape) > 0.7
        for obj_id in range(16)
    }
    together = session_masks(model_and_params, prompts)
    assert together.shape == (LENGTH, 16, HEIGHT, WIDTH)
    for obj_id in (0, 1, 15):
        alone = session_masks(model_and_params, {obj_id: prompts[obj_id]})
        np.testing.assert_allclose(together[:, obj_id], alone[:, 0], atol=1e-3)


def filled_bank(model, objects=1, prompted_frames=1, seed=0):
    """A bank that remembers frame 0 as prompted and frames 1 to 7 as tracked."""
    rng = np.random.default_rng(seed)
    bank = memory_bank.empty_memory(model.config, 1, objects, prompted_frames)
    every = jnp.ones((1, objects), bool)
    side, config = model.config.embedding_size, model.config

    def maps():
        return jnp.asarray(rng.standard_normal((1, objects, side, side, config.memory_dim), np.float32))

    def pointers():
        return jnp.asarray(rng.standard_normal((1, objects, config.hidden_dim), np.float32))

    for frame in range(8):
        prompted = every if frame == 0 else ~every
        bank = memory_bank.write(config, bank, frame, maps(), pointers(), prompted)
    return bank


def test_empty_slots_change_nothing_whatever_they_hold(model_and_params):
    model, params = model_and_params
    features = encode_frames(model, params, FRAMES[:1, :, :48].repeat(2, 1)[:, :64, :].repeat(2, 2)[:, :, :64])
    few = filled_bank(model, prompted_frames=1)
    many = filled_bank(model, prompted_frames=4)
    wild = many.replace(
        prompted_maps=many.prompted_maps.at[:, :, 1:].set(1e3),
        prompted_pointers=many.prompted_pointers.at[:, :, 1:].set(1e3),
    )
    expected = predict_with_memory(model, params, few, features, 8)
    for bank in (many, wild):
        ours = predict_with_memory(model, params, bank, features, 8)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected)):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_no_frame_sees_the_future(model_and_params):
    """What counts at a frame was made before it, when tracking forward; after it, backward."""
    model, _ = model_and_params
    bank = labelled(filled_bank(model))
    for frame, step in ((4, 1), (4, -1), (8, 1), (0, -1)):
        maps, pointers = seen_frames(memory_bank.read(model.config, bank, frame, step))
        recent = [f for f in maps if f != 0]
        assert all((frame - f) * step >= 1 for f in recent), (frame, step, recent)
        assert all((frame - f) * step >= 0 for f in pointers)


def labelled(bank):
    """A bank whose maps and pointers hold nothing but the number of their frame."""

    def fill(x, tags):
        return jnp.broadcast_to(tags.reshape(*tags.shape, *(1,) * (x.ndim - 3)), x.shape).astype(x.dtype)

    return bank.replace(
        prompted_maps=fill(bank.prompted_maps, bank.prompted_frames),
        prompted_pointers=fill(bank.prompted_pointers, bank.prompted_frames),
        recent_maps=fill(bank.recent_maps, bank.recent_frames),
        recent_pointers=fill(bank.recent_pointers, bank.recent_pointer_frames),
    )


def seen_frames(seen) -> tuple[list[int], list[int]]:
    """The frames of the maps and of the pointers of the first object that count, in a labelled bank."""
    maps, pointers = seen.maps[0, 0, :, 0, 0, 0], seen.pointers[0, 0, :, 0]
    counts = int(seen.map_count[0, 0]), int(seen.pointer_count[0, 0])
    return [np.asarray(x[:count]).astype(int).tolist() for x, count in zip((maps, pointers), counts)]


def test_what_counts_comes_first_and_in_its_order_with_its_age(model_and_params):
    model, _ = model_and_params
    bank = filled_bank(model, prompted_frames=4)
    # Holes: two slots of prompted frames are empty, and that of a tracked one which was prompted afterwards.
    maps, pointers = bank.prompted_maps[:, :, 0], bank.prompted_pointers[:, :, 0]
    bank = labelled(memory_bank.write(model.config, bank, 5, maps, pointers, prompted=jnp.ones((1, 1), bool)))
    seen = memory_bank.read(model.config, bank, 8)
    maps, pointers = seen_frames(seen)
    assert maps == [0, 5, 6, 7, 2, 3, 4] and pointers == [0, 5, 1, 2, 3, 4, 6, 7]
    assert np.asarray(seen.map_ages)[0, 0, :7].tolist() == [6, 6, 1, 0, 5, 4, 3]
    assert np.round(15 * seen.pointer_ages)[0, 0, :8].tolist() == [8, 3, 7, 6, 5, 4, 2, 1]


def test_a_row_that_remembers_nothing_reads_one_slot_so_that_its_softmax_is_finite(model_and_params):
    model, _ = model_and_params
    seen = memory_bank.read(model.config, memory_bank.empty_memory(model.config), 3)
    assert seen.map_count.tolist() == [[1]] and seen.pointer_count.tolist() == [[0]]


def test_the_bank_remembers_the_last_six_and_the_prompted(model_and_params):
    model, _ = model_and_params
    seen = memory_bank.read(model.config, filled_bank(model), 8)
    bank = filled_bank(model)
    tags = np.concatenate([bank.prompted_frames, bank.recent_frames], axis=2)[0, 0]
    by_frame = dict(zip(tags.tolist(), np.asarray(seen.map_ages)[0, 0].tolist()))
    # The frame just before has the first row of the temporal codes; a prompted one has the last.
    assert by_frame == {0: 6, 7: 0, 6: 1, 5: 2, 4: 3, 3: 4, 2: 5}
    assert seen.map_count.tolist() == [[7]]


def test_the_oldest_prompted_frame_makes_way(model_and_params):
    model, _ = model_and_params
    bank = filled_bank(model, prompted_frames=2)
    one = jnp.ones((1, 1), bool)
    for frame in (5, 9, 9):
        maps, pointers = bank.prompted_maps[:, :, 0], bank.prompted_pointers[:, :, 0]
        bank = memory_bank.write(model.config, bank, frame, maps, pointers, prompted=one)
    assert sorted(np.asarray(bank.prompted_frames)[0, 0].tolist()) == [5, 9]


def size_of(stream: SAM2StreamPredictor) -> int:
    held = [stream._before, stream._memory, stream._features, stream._seen]
    return sum(leaf.nbytes for leaf in jax.tree.leaves(held))


def test_a_stream_holds_the_same_bytes_for_ever(model_and_params):
    stream = SAM2StreamPredictor(*model_and_params)
    stream.add_frame(FRAMES[0])
    stream.add_new_points_or_box(1, **CLICK)
    sizes = []
    for index in range(60):
        stream.add_frame(FRAMES[index % LENGTH])
        if index % 10 == 5:
            stream.add_new_points_or_box(1, **CLICK)
        sizes.append(size_of(stream))
    assert len(set(sizes)) == 1


def test_nothing_compiles_after_the_first_frames(model_and_params):
    model, _ = small_model(name="compiled_once")
    stream = SAM2StreamPredictor(model, model_and_params[1])

    def round_of_everything(start):
        stream.add_frame(FRAMES[start])
        stream.add_new_points_or_box(start, **CLICK)
        stream.add_new_mask(start + 100, MASK)
        stream.add_frame(FRAMES[start + 1])
        stream.add_new_points_or_box(start, points=np.array([[5, 5], [30, 30]]), labels=np.array([1, 0]))
        stream.add_new_points_or_box(start + 100, box=np.array([1, 1, 30, 30]))
        stream.add_frame(FRAMES[start + 2])
        stream.remove_object(start)
        stream.remove_object(start + 100)

    round_of_everything(0)
    round_of_everything(3)
    functions = (encode_frames, predict_with_memory, track_frame)
    compiled = [function.jitted._cache_size() for function in functions]
    for start in (6, 9, 12):
        round_of_everything(start)
    assert [function.jitted._cache_size() for function in functions] == compiled


def test_objects_come_and_go_without_harm_to_the_others(model_and_params):
    expected = session_masks(model_and_params, {1: CLICK})[:, 0]
    stream = SAM2StreamPredictor(*model_and_params)
    stream.add_frame(FRAMES[0])
    answers = [stream.add_new_points_or_box(1, **CLICK)]
    for index, frame in enumerate(FRAMES[1:], start=1):
        answers.append(stream.add_frame(frame))
        if index == 3:
            stream.add_new_mask(2, MASK)
            stream.add_new_mask(3, ~MASK)
        if index == 6:
            stream.remove_object(2)
    assert stream.obj_ids == [1, 3]
    ours = np.stack([answer.masks[answer.obj_ids.index(1), 0] for answer in answers])
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_a_correction_after_tracking_counts_unless_the_published_behaviour_is_asked_for(model_and_params):
    outcomes = {}
    for compat in (None, "official"):
        predictor = SAM2VideoPredictor(*model_and_params, compat=compat)
        state = predictor.init_state(FRAMES)
        predictor.add_new_points_or_box(state, 0, 1, **CLICK)
        before = np.stack([m for _, _, m in predictor.propagate_in_video(state)])
        _, _, corrected = predictor.add_new_points_or_box(
            state, 5, 1, points=np.array([[50, 10], [20, 20]]), labels=np.array([1, 0])
        )
        after = np.stack([m for _, _, m in predictor.propagate_in_video(state)])
        outcomes[compat] = before, corrected, after
    before, corrected, after = outcomes[None]
    np.testing.assert_allclose(after[5], corrected, atol=1e-5)
    assert np.abs(after[6:] - before[6:]).max() > 1e-3
    before, _, after = outcomes["official"]
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.slow
def test_a_long_stream_keeps_the_hosts_memory(model_and_params):
    import resource

    stream = SAM2StreamPredictor(*model_and_params)
    stream.add_frame(FRAMES[0])
    stream.add_new_points_or_box(1, **CLICK)
    marks = {}
    for index in range(1, 5001):
        stream.add_frame(FRAMES[index % LENGTH])
        if index in (50, 500, 5000):
            marks[index] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, size_of(stream)
    assert marks[50][1] == marks[500][1] == marks[5000][1]
    assert marks[5000][0] - marks[500][0] < 20, marks
