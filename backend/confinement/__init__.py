"""The walls around a process that faces a guest: one file a wall; ``plan`` says which, and why."""
