"""``make stubdom``: builds the reference stub domain of Debian's packages."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from tools.linux_guest.cache import Cache
from tools.linux_guest.errors import exit_status
from tools.linux_guest.kernels import SUITE_OF, kernel
from tools.stubdom.image import compressed_root, write_initramfs

TARGET: Final = Path(__file__).parent.parent.parent / "build" / "stubdom"
SERIES: Final = {suite: series for series, suite in SUITE_OF.items()}
"""The kernel that each Debian release has."""

_LINES: Final = """\
{target} has the stub domain.  In a guest's configuration:

type = "hvm"
device_model_version = "qemu-xen"
device_model_stubdomain_override = 1
stubdomain_kernel = "{target}/vmlinuz"
stubdomain_ramdisk = "{target}/initramfs"
stubdomain_cmdline = "console=hvc0 rdinit=/init panic=1 quiet"
stubdomain_memory = 640"""


def main() -> int:
    """The exit status: 0 it was built, 1 something is missing, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="make stubdom",
        description="Build a Linux stub domain with Debian's QEMU, its kernel and its modules.",
        epilog="example: make stubdom ARGS='--suite trixie --target /var/lib/xen/stubdom'",
    )
    parser.add_argument(
        "--suite",
        choices=SERIES,
        default="bookworm",
        help="Debian's release, which must be Dom0's: QEMU and Xen fit together; default: bookworm",
    )
    parser.add_argument("--target", type=Path, help="the folder; default: build/stubdom/SUITE")
    args = parser.parse_args()
    return exit_status("stubdom", lambda: build(args.suite, args.target or TARGET / args.suite))


def build(suite: str, target: Path) -> int:
    """Make both files in ``target`` and say how they are used.  Raises ``GuestError``."""
    cache = Cache()
    linux = kernel(SERIES[suite], cache)
    root = compressed_root(cache, suite)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(linux.image, target / "vmlinuz")
    write_initramfs(target / "initramfs", linux, root)
    print(_LINES.format(target=target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
