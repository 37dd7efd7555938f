"""The installed xl as a tool: it builds and ends domains, and its listings are read."""

from xenwire.xl.listing import Flag, ListedDomain
from xenwire.xl.tool import Xl

__all__ = ["Flag", "ListedDomain", "Xl"]
