"""The commands of ``xen-fileproxy``, one module each, all with the same four names in them."""
