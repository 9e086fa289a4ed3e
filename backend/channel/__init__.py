"""Byte streams between a guest and Dom0's programs: a file in the share, a unix socket in Dom0."""
