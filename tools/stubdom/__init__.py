"""A reference stub domain: Debian's QEMU, and what joins it to a share and a channel of Dom0."""
