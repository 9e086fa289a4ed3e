"""The commands of ``xen-fileproxy-front``: each has HELP, EXAMPLE, ``arguments`` and ``run``."""
