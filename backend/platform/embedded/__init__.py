"""A hypervisor for development and tests: domains, grants, event channels and a XenStore server."""
