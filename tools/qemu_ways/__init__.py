"""All ways of QEMU's state in and out, and all chardevs of its monitor, through a share.

A way is tried with a real QEMU at both of a guest's ends: the kernel's mount, and our frontend.
``python -m tools.qemu_ways`` tries them all and compares ``docs/qemu.md`` with what came of it.
"""
