"""The interface page against the C compiler's own layout of Xen's public header."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from construct import ConstructError

from protocol.xenpv.layout import (
    IN_CONS,
    IN_PROD,
    OUT_CONS,
    OUT_PROD,
    RING_ORDER,
    RING_REFS,
    XEN_9PFS_DATA_INTF,
)

HEADER = Path("/usr/include/xen/io/9pfs.h")

PROBE = """
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <xen/io/9pfs.h>
int main(void) {
    printf("%zu %zu %zu %zu %zu %zu\\n",
        offsetof(struct xen_9pfs_data_intf, in_cons), offsetof(struct xen_9pfs_data_intf, in_prod),
        offsetof(struct xen_9pfs_data_intf, out_cons),
        offsetof(struct xen_9pfs_data_intf, out_prod),
        offsetof(struct xen_9pfs_data_intf, ring_order), offsetof(struct xen_9pfs_data_intf, ref));
    return 0;
}
"""


def page(order: int, refs: list[int]) -> bytes:
    raw = bytearray(4096)
    raw[128:132] = order.to_bytes(4, "little")
    for number, ref in enumerate(refs):
        raw[132 + 4 * number : 136 + 4 * number] = ref.to_bytes(4, "little")
    return bytes(raw)


def test_the_offsets_are_those_of_the_struct() -> None:
    raw = page(3, list(range(100, 108)))
    parsed = XEN_9PFS_DATA_INTF.parse(raw)
    assert (parsed.ring_order, list(parsed.ref)) == (3, list(range(100, 108)))
    assert XEN_9PFS_DATA_INTF.build(parsed) == raw[: 132 + 4 * 8]
    words = (IN_CONS, IN_PROD, OUT_CONS, OUT_PROD, RING_ORDER, RING_REFS)
    assert [4 * word for word in words] == [0, 4, 64, 68, 128, 132]


@pytest.mark.skipif(
    not HEADER.exists() or shutil.which("cc") is None,
    reason="needs a C compiler and Xen's public headers: apt install gcc libxen-dev",
)
def test_the_compiler_agrees(tmp_path: Path) -> None:
    source, program = tmp_path / "probe.c", tmp_path / "probe"
    source.write_text(PROBE)
    subprocess.run(["cc", "-o", program, source], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["0", "4", "64", "68", "128", "132"]


@pytest.mark.parametrize("order", [0, 10, 0xFFFF_FFFF])
def test_an_order_out_of_range_does_not_parse(order: int) -> None:
    with pytest.raises(ConstructError):
        XEN_9PFS_DATA_INTF.parse(page(order, []))
