"""What a stub domain's QEMU is given: files for its state, and a channel to its monitor."""
