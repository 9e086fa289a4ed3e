"""Trees that wrap a tree: what a share allows, counts, shows and promises.  One policy a file."""
