# SPDX-License-Identifier: Apache-2.0
"""What `scripts.compile_for_tpu` needs: TPUs that are not here, programs from shapes alone, and what those cost."""
