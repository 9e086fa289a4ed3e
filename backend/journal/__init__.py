"""What outlives a worker's death, so that the next one can go on: ``docs/recovery.md``."""
