# SPDX-License-Identifier: Apache-2.0
"""Videos of different lengths in one program: each gets what it gets alone, and no clip is copied on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_model

import sam2_jax
from sam2_jax import memory_bank
from sam2_jax.tracking import segment_video
from sam2_jax.types import ABSENT

LENGTHS = 6, 17, 1, 11
random = np.random.default_rng(0)
VIDEOS = [random.integers(0, 255, (length, 64, 64, 3), np.uint8) for length in LENGTHS]
MASKS = np.zeros((len(VIDEOS), 2, 64, 64), np.float32)
MASKS[:, 0, 10:30, 10:40] = MASKS[:, 1, 35:60, 20:50] = 1


@pytest.fixture(scope="module")
def model_and_params():
    """A model that minds how long ago a pointer was made, as a share of the video's length."""
    model, params = small_model()
    projection = params["obj_ptr_tpos_proj"]
    return model, params | {"obj_ptr_tpos_proj": projection | {"kernel": 30 * projection["kernel"]}}


@pytest.fixture(scope="module")
def together(model_and_params):
    frames, lengths = sam2_jax.pad_videos(VIDEOS)
    return segment_video(*model_and_params, frames, masks=MASKS, lengths=lengths)


@pytest.mark.parametrize("row", range(len(VIDEOS)))
def test_a_video_among_longer_ones_is_tracked_as_alone(row, together, model_and_params):
    alone = segment_video(*model_and_params, VIDEOS[row][None], masks=MASKS[row : row + 1])
    ours = jax.tree.map(lambda x: x[row, : LENGTHS[row]], together)
    for found, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(alone)):
        np.testing.assert_allclose(found, expected[0], rtol=1e-3, atol=1e-3)


def test_past_a_videos_end_there_is_no_object(together):
    for row, length in enumerate(LENGTHS):
        past = jax.tree.map(lambda x, row=row, length=length: np.asarray(x[row, length:]), together)
        assert (past.logits == ABSENT).all() and (past.object_score == ABSENT).all()
        assert (past.iou == 0).all() and (past.pointer == 0).all()


def test_a_length_counts_and_another_compiles_nothing(together, model_and_params):
    frames, lengths = sam2_jax.pad_videos(VIDEOS)
    compiled = segment_video.jitted._cache_size()
    longer = segment_video(*model_and_params, frames, masks=MASKS, lengths=np.full_like(lengths, frames.shape[1]))
    assert segment_video.jitted._cache_size() == compiled
    assert np.abs(longer.logits[0, :6] - together.logits[0, :6]).max() > 0.1


def test_the_longest_pointer_distance_is_that_of_each_video(model_and_params):
    config, lengths = model_and_params[0].config, [1, 2, 9, 16, 40]
    expected = [memory_bank.max_pointer_distance(config, length) for length in lengths]
    assert expected == [1, 1, 8, 15, 15] and memory_bank.max_pointer_distance(config) == 15
    bank = memory_bank.empty_memory(config, len(lengths), 2, length=jnp.array(lengths))
    np.testing.assert_array_equal(bank.max_pointer_distance, np.repeat(expected, 2).reshape(-1, 2))


def test_lengths_are_one_number_for_each_video(model_and_params):
    frames, lengths = sam2_jax.pad_videos(VIDEOS)
    with pytest.raises(ValueError, match=r"lengths has the shape \(3,\); expected \(4,\)"):
        segment_video(*model_and_params, frames, masks=MASKS, lengths=lengths[:3])


def test_videos_are_padded_to_few_lengths():
    frames, lengths = sam2_jax.pad_videos(VIDEOS)
    assert frames.shape == (4, 17, 64, 64, 3) and frames.dtype == np.uint8
    assert lengths.tolist() == list(LENGTHS) and lengths.dtype == np.int32
    for row, video in zip(frames, VIDEOS):
        np.testing.assert_array_equal(row[: len(video)], video)
        assert not row[len(video) :].any()
    padded = {
        length: sam2_jax.pad_videos([np.zeros((length, 1, 1, 3), np.uint8)])[0].shape[1] for length in range(1, 600)
    }
    assert len(set(padded.values())) == 1 + 16 + 3 * 8 + 2
    for length, more in padded.items():
        chunks = -(-(length - 1) // 4)
        assert more >= length and (more - 1) % 4 == 0 and (more - 1) // 4 <= chunks * 9 / 8


@pytest.mark.parametrize(
    ("videos", "sentence"),
    [
        ([], "There is no video to pad"),
        ([VIDEOS[0], VIDEOS[1][:0]], r"videos\[1\] has shape \(0, 64, 64, 3\)"),
        ([VIDEOS[0], VIDEOS[1][:, :32, :32]], r"videos\[1\] has shape .* expected uint8 \(T, S, S, 3\)"),
        ([VIDEOS[0] / 255], r"videos\[0\] has shape .* and type float64"),
    ],
)
def test_what_cannot_be_padded_is_named(videos, sentence):
    with pytest.raises(ValueError, match=sentence):
        sam2_jax.pad_videos(videos)


def test_a_clip_is_not_copied_on_the_device(model_and_params):
    """What a program needs beside its arguments and results grows, with T, by less than the clip does."""
    model, params = model_and_params
    clips = [jax.ShapeDtypeStruct((1, length, 64, 64, 3), jnp.uint8) for length in (9, 41)]
    programs = [segment_video.lower(model, params, clip, masks=MASKS[:1]).compile() for clip in clips]
    few, many = (program.memory_analysis().temp_size_in_bytes for program in programs)
    assert many - few < (clips[1].size - clips[0].size) / 2
