# SPDX-License-Identifier: Apache-2.0
"""A config is one of the published ones or a valid one of your own; every mistake is named."""

import pytest

from sam2_jax.config import PUBLISHED, SAM2Config, published_config, published_name

SPELLINGS = {
    "sam2.1_hiera_t": "sam2.1_hiera_tiny",
    "sam2_hiera_b+": "sam2_hiera_base_plus",
    "sam2.1_hiera_b+.yaml": "sam2.1_hiera_base_plus",
    "configs/sam2.1/sam2.1_hiera_l.yaml": "sam2.1_hiera_large",
    "facebook/sam2-hiera-small": "sam2_hiera_small",
    "checkpoints/sam2.1_hiera_base_plus.pt": "sam2.1_hiera_base_plus",
}


@pytest.mark.parametrize(("spelling", "name"), SPELLINGS.items())
def test_every_published_spelling_is_known(spelling, name):
    assert published_name(spelling) == name
    assert published_config(spelling) is PUBLISHED[name] or published_config(spelling) == PUBLISHED[name]


def test_there_are_eight_published_models():
    assert len(PUBLISHED) == 8
    assert all(hash(config) == hash(config) and config.name == name for name, config in PUBLISHED.items())


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"'sam2.1_hiera_huge' is not a published model; nearest is 'sam2"):
        published_config("sam2.1_hiera_huge")


def test_an_unknown_field_is_named():
    with pytest.raises(ValueError, match="no field 'image_sise'"):
        published_config("sam2.1_hiera_t", image_sise=512)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("image_size", 1000, "a positive multiple of 32"),
        ("image_size", 0, "a positive multiple of 32"),
        ("stages", (1, 2, 3), "four positive numbers"),
        ("window_sizes", (7, 4, 14, 7), "even but for the last"),
        ("global_attention_blocks", (12,), "indices of blocks"),
        ("num_heads", 5, "a divisor of embed_dim 96"),
        ("memory_dim", 60, "a divisor of 256"),
        ("dtype", "float16", "one of float32, bfloat16"),
        ("attention", "fast", "one of"),
    ],
)
def test_a_field_out_of_range_is_named(field, value, expected):
    with pytest.raises(ValueError, match=rf"SAM2Config.{field} is .*expected .*{expected}"):
        SAM2Config(**{field: value})
