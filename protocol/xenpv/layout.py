"""Layout of the shared interface page, ``struct xen_9pfs_data_intf``.

Source: ``DEFINE_XEN_FLEX_RING_AND_INTF`` in Xen's public ``io/ring.h``, used by ``io/9pfs.h``.
The drawing in ``docs/misc/9pfs.pandoc`` leaves out the second pad; the struct is right:
``ring_order`` lies at 128 and the references begin at 132.
"""

from __future__ import annotations

from construct import Array, Check, Int32ul, Padding, Struct

from protocol.xenpv.device import MAX_RING_ORDER

INDICES = Struct(
    "in_cons" / Int32ul,
    "in_prod" / Int32ul,
    "pad1" / Padding(56),
    "out_cons" / Int32ul,
    "out_prod" / Int32ul,
    "pad2" / Padding(56),
)
"""The four free-running byte counters; each end owns one of each half."""

XEN_9PFS_DATA_INTF = Struct(
    "indices" / INDICES,
    "ring_order" / Int32ul,
    "order_in_range" / Check(lambda page: 1 <= page.ring_order <= MAX_RING_ORDER),
    "ref" / Array(lambda page: 1 << page.ring_order, Int32ul),
)
"""What a frontend fills in before it offers the page; a ring order out of range does not parse."""

# Offsets in 32-bit words, which is how the rings address the page.
IN_CONS, IN_PROD, OUT_CONS, OUT_PROD = 0, 1, 16, 17

# The same two fields, for a frontend that fills in the page it has mapped.
RING_ORDER, RING_REFS = 32, 33
