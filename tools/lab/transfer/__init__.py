"""How long a stub domain's bytes take to Dom0: through the share, and through its PV console."""
