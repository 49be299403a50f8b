# SPDX-License-Identifier: Apache-2.0
"""Videos that are sharded over devices are tracked as on one."""

import os
import subprocess
import sys
from pathlib import Path

from command_line import QUICK

TESTS = Path(__file__).parent
ON_EIGHT_DEVICES = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from small import small_model
from sam2_jax.predictors.prompts import prepare_prompts
from sam2_jax.tracking import segment_video

model, params = small_model()
frames = np.random.default_rng(0).integers(0, 255, (8, 4, 64, 64, 3), np.uint8)
points = np.random.default_rng(1).uniform(5, 60, (8, 1, 1, 2)).astype(np.float32)
one, _ = prepare_prompts(points[0], np.ones((1, 1)), None, None, (64, 64), 64)
prompts = one.replace(points=np.repeat(one.points, 8, 0), labels=np.repeat(one.labels, 8, 0))
prompts.points[:, :, :1] = points
lengths = np.array([4, 3, 2, 1, 4, 3, 2, 1], np.int32)
expected = segment_video(model, params, frames, prompts, lengths=lengths)
mesh = Mesh(np.array(jax.devices()), ("data",))
over = NamedSharding(mesh, PartitionSpec("data"))
everywhere = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
frames, prompts, lengths = jax.device_put((frames, prompts, lengths), over)
ours = segment_video(model, everywhere, frames, prompts, lengths=lengths)
assert len(jax.devices()) == 8 and len(ours.logits.sharding.device_set) == 8
assert np.abs(expected.logits[0] - expected.logits[1]).max() > 1e-3
for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
print("equal")
"""


def test_videos_sharded_over_eight_devices_get_the_masks_of_one():
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = (
        os.environ
        | QUICK
        | {
            "PYTHONPATH": paths,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0",
        }
    )
    answer = subprocess.run([sys.executable, "-c", ON_EIGHT_DEVICES], env=environment, capture_output=True, text=True)
    assert answer.stdout.endswith("equal\n"), answer.stderr[-3000:]
