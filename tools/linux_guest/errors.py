"""What stops a run before it could say anything about the file server."""


class GuestError(Exception):
    """The guest cannot be prepared, started or reached; the text says what to do about it."""
