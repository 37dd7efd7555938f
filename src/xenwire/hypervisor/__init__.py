"""Event channels and granted memory: Xen's own (`linux`), and none at all (`loopback`, for tests)."""

from xenwire.hypervisor.interface import EventChannels, Grants, Page

__all__ = ["EventChannels", "Grants", "Page"]
