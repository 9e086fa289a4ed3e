"""The Dom0 side: platform ports, file server, workers, supervisor and command line."""
