# SPDX-License-Identifier: Apache-2.0
"""How good masks are: metrics and protocols (sections 6 and F). Metrics of the host, which load no jax, are apart."""
