# SPDX-License-Identifier: Apache-2.0
"""What `scripts.benchmark` measures, a file each, and the worker that runs the PyTorch package beside it."""
