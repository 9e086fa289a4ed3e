"""Real Xen: the ports over Xen's own libraries, which are loaded by name when they are needed."""
