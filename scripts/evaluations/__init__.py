# SPDX-License-Identifier: Apache-2.0
"""What `scripts.evaluate` evaluates, a file each."""
