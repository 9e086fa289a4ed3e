"""The Xen split-driver side: ring layout, byte rings, xenbus states, and the ports they need."""
