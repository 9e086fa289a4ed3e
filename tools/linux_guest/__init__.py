"""``make interop``: the Linux kernel's own 9p client against the file server.

A Debian kernel, unmodified, boots in QEMU (software emulation is enough), mounts what
``xen-fileproxy serve`` serves, and runs real programs on it.  What the guest then sees is compared
with what lies in the exported directory.
"""
