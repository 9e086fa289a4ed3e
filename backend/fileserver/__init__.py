"""The 9P file server: sessions, fids on descriptors, one function per message."""
