"""The ports of protocol.xenpv.ports made real: Xen's libraries, pyxs, and the embedded platform."""
