# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the table of the folders, read off the source; and importing the library changes nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"sam2_jax", "data", "train", "configs", "scripts", "tests"}
# What each folder may import of ours, beside itself.
MAY_IMPORT = {
    "sam2_jax": set(),
    "data": {"sam2_jax.media"},
    "train": {"sam2_jax", "data"},
    "configs": {"train", "data", "sam2_jax"},
    "scripts": {"sam2_jax", "data", "train", "configs"},
}
NEVER = {"sam2_jax": {"torch", "tensorflow"}, "data": {"jax", "flax", "torch", "tensorflow"}, "train": {"torch"}}
SOURCES = [path for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]
# The benchmark's worker is the PyTorch package's own process.
WORKERS = {"scripts/benchmarks/pytorch.py", "scripts/benchmarks/pytorch_data.py"}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_imports_only_what_the_table_allows(path):
    folder = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[folder] | {folder}
    for name in imports(path):
        top = name.split(".")[0]
        if top in OURS:
            assert any(name == a or name.startswith(f"{a}.") for a in allowed), f"{folder}/ may not import {name}"
        assert top not in NEVER.get(folder, set()), f"{folder}/ may not import {top}"


def test_there_is_no_circle_inside_the_package():
    files = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in SOURCES if p.name != "__init__.py"}
    names = {module: imports(path) for module, path in files.items()}
    edges = {
        module: {other for other in files if any(n == other or n.startswith(f"{other}.") for n in names[module])}
        for module in files
    }
    while edges:
        free = {module for module, needs in edges.items() if not needs & edges.keys() - {module}}
        assert free, f"these import each other in a circle: {sorted(edges)}"
        edges = {module: needs for module, needs in edges.items() if module not in free}


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_reading_pictures_and_videos_does_not_load_jax():
    code = "import sys, sam2_jax, sam2_jax.media.overlays, sam2_jax.media.videos; print('jax' in sys.modules)"
    assert run(code) == "False\n"


def test_importing_the_library_changes_nothing_global():
    code = """
import logging, os, cv2, jax  # OpenCV sets a variable of its own
before = dict(jax.config.values), dict(os.environ), logging.getLogger().level
import sam2_jax
for name in sam2_jax.__all__:
    getattr(sam2_jax, name)
print((dict(jax.config.values), dict(os.environ), logging.getLogger().level) == before)
"""
    assert run(code).endswith("True\n")


def test_every_public_name_is_there():
    import sam2_jax

    assert all(getattr(sam2_jax, name) is not None for name in sam2_jax.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sam3'"):
        sam2_jax.sam3  # noqa: B018
