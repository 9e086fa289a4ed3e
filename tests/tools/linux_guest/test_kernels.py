"""Which kernel is taken, and which of its modules in which order."""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

import pytest

from tools.linux_guest.errors import GuestError
from tools.linux_guest.kernels import installed_kernel
from tools.linux_guest.modules import load_order

if TYPE_CHECKING:
    from pathlib import Path


def install(root: Path, release: str, modules: str = "lib/modules") -> None:
    (root / "boot").mkdir(exist_ok=True)
    (root / "boot" / f"vmlinuz-{release}").touch()
    (root / modules / release / "kernel").mkdir(parents=True)


def test_the_series_is_matched_whole(tmp_path: Path) -> None:
    install(tmp_path, "6.1.0-9-amd64")
    install(tmp_path, "6.12.1+deb13-amd64", "usr/lib/modules")
    found = installed_kernel("6.1", tmp_path)
    assert found is not None
    assert (found.release, found.series) == ("6.1.0-9-amd64", "6.1")
    found = installed_kernel("6.12", tmp_path)
    assert found is not None
    assert found.modules == tmp_path / "usr/lib/modules/6.12.1+deb13-amd64"
    assert found.series == "6.12"
    assert installed_kernel("6.6", tmp_path) is None


def test_a_kernel_without_modules_is_none(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-6.1.0").touch()
    assert installed_kernel("6.1", tmp_path) is None


def module(folder: Path, name: str, needs: str, *, packed: bool = False) -> bytes:
    content = f"\x7fELF\0license=GPL\0depends={needs}\0name={name}\0".encode()
    path = folder / "kernel" / f"{name}.ko{'.xz' if packed else ''}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress(content) if packed else content)
    return content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Modules as Debian has them, in part built in and in part compressed."""
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    module(tmp_path, "virtio_console", "")
    module(tmp_path, "virtio_net", "net_failover")
    module(tmp_path, "net_failover", "", packed=True)
    module(tmp_path, "9p", "9pnet,netfs")
    module(tmp_path, "9pnet", "")
    module(tmp_path, "netfs", "")
    module(tmp_path, "9pnet_fd", "9pnet")
    module(tmp_path, "9pnet_virtio", "9pnet")
    return tmp_path


def test_what_is_needed_comes_first_and_once(folder: Path) -> None:
    wanted = "virtio_console net_failover virtio_net 9pnet netfs 9p 9pnet_fd 9pnet_virtio"
    order = load_order(folder)
    assert [name for name, _ in order] == wanted.split()
    assert all(content.startswith(b"\x7fELF") for _, content in order)


def test_a_missing_module_is_named(folder: Path) -> None:
    (folder / "kernel" / "netfs.ko").unlink()
    with pytest.raises(GuestError, match="no module netfs"):
        load_order(folder)


def test_an_unknown_compression_is_named(folder: Path) -> None:
    (folder / "kernel" / "netfs.ko").rename(folder / "kernel" / "netfs.ko.zst")
    with pytest.raises(GuestError, match=r"netfs\.ko\.zst"):
        load_order(folder)
