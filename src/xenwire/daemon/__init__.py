"""`xenwire serve`: the backend of all channels of a host."""

from xenwire.daemon.serve import serve

__all__ = ["serve"]
