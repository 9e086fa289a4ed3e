"""The one root process: watches XenStore, runs the xenbus table, starts and reaps workers."""
