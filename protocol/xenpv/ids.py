"""Identifiers that Xen hands out, each its own type so that no two can be swapped by mistake."""

from typing import NewType

Domid = NewType("Domid", int)
"""A domain's number, 0..0x7FEF (xen/include/public/xen.h, DOMID_FIRST_RESERVED)."""

Devid = NewType("Devid", int)
"""A device's number within its class and domain: the last part of its XenStore path."""

Gref = NewType("Gref", int)
"""A grant reference: an index into the granting domain's grant table, unsigned 32-bit."""

Evtchn = NewType("Evtchn", int)
"""An event-channel port, local to one domain, unsigned 32-bit; 0 is never a valid port."""

DOM0 = Domid(0)
DOMID_FIRST_RESERVED = 0x7FF0
