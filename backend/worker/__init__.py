"""One process per device: maps the rings and serves 9P; it owns nothing else."""
