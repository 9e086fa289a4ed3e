"""What both ends of the device must agree on: sans-IO, no file, socket, clock, thread or log."""
