"""Who may import whom, from the AST of every module (docs/architecture.md, "Folders")."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"protocol", "backend", "frontend_stub", "tools", "tests"}

# Modules that may use construct: the schema of the messages, and layouts.  Everything at run time
# uses what was derived from them, so that a worker never interprets a schema over a guest's bytes.
CONSTRUCT = {
    "protocol/ninep/schema.py",
    "protocol/ninep/describe.py",
    "protocol/xenpv/layout.py",
    "backend/platform/embedded/xenstore_wire.py",
    "backend/journal/layout.py",
}


def modules(top: str) -> list[Path]:
    return sorted((ROOT / top).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the package"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", modules("protocol"), ids=lambda path: str(path.relative_to(ROOT)))
def test_protocol_imports_the_standard_library_itself_and_construct_in_schemas(path: Path) -> None:
    third = tops(path) - set(sys.stdlib_module_names) - {"protocol"}
    assert third <= {"construct"}
    if "construct" in third:
        assert str(path.relative_to(ROOT)) in CONSTRUCT


@pytest.mark.parametrize("path", modules("protocol"), ids=lambda path: str(path.relative_to(ROOT)))
def test_protocol_is_sans_io(path: Path) -> None:
    io = {"asyncio", "logging", "mmap", "os", "select", "selectors", "socket", "subprocess"}
    io |= {"threading", "time", "multiprocessing", "pathlib", "io"}
    assert not tops(path) & io


@pytest.mark.parametrize("path", modules("backend"), ids=lambda path: str(path.relative_to(ROOT)))
def test_backend_imports_no_frontend_tool_or_test(path: Path) -> None:
    assert not tops(path) & {"frontend_stub", "tools", "tests"}


@pytest.mark.parametrize(
    "path", modules("frontend_stub"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_frontend_imports_protocol_and_the_platform_only(path: Path) -> None:
    assert not tops(path) & {"tools", "tests"}
    of_backend = {name for name in imports(path) if name.split(".")[0] == "backend"}
    assert all(name.startswith("backend.platform") or name == "backend" for name in of_backend)


@pytest.mark.parametrize(
    "path",
    [*modules("backend"), *modules("frontend_stub")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_construct_and_pyxs_stay_in_their_corners(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if "construct" in tops(path):
        assert name in CONSTRUCT
    if "pyxs" in tops(path):
        assert name.startswith("backend/platform/store")


def test_the_rules_see_every_module() -> None:
    assert all(len(modules(top)) > 1 for top in OURS)
