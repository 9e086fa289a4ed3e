"""Manual pages and completion, written from what ``--help`` and the configuration are made of."""
