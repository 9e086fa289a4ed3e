"""A hypervisor for development and tests: domains, grants, event channels and a XenStore server.

It is no virtual machine monitor: a "domain" is a domid that ordinary processes act for.  One
process (``server``) keeps the state; pages and events go between the others directly:

- ``hypervisor``: starts one as a child (``EmbeddedHypervisor``), controls one
  (``HypervisorControl``);
- ``platform`` and the handles (``grant_handles``, ``event_handle``) are the ports a program uses;
  ``mapping``, ``handle`` and ``libc`` are below them;
- ``server`` is the loop; ``hypercalls`` the calls; ``domains``, ``grants``, ``memory`` and
  ``channels`` the state; ``toolstack`` what happens in XenStore when a domain comes or goes;
- ``wire`` is what both sides agree on;
- ``xenstore`` and ``xenstore_*`` are the XenStore server.

It guards against accidents, and against what a hostile guest may put into pages and nodes.  It does
not guard against the user who runs it: whoever may open its sockets (mode 0600) may claim any
domid.
"""
