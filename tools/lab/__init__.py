"""``make lab``: real Xen, in QEMU, with the program in its Dom0 and unmodified guests of ``xl``.

``tests/lab`` runs inside, in Dom0; here the machine is built and started.
"""
