"""The only builder of disks, kernels and ramdisks: the tiny Linux guest, and the dom0 of a lab."""

from __future__ import annotations

from xenwire.images.debian import Progress
from xenwire.images.dom0 import Dom0Image, Release, build_dom0, dom0_image
from xenwire.images.guest import GuestImage, build_tiny_guest, tiny_guest
from xenwire.images.rootdisk import check as check_builder

__all__ = [
    "Dom0Image",
    "GuestImage",
    "Progress",
    "Release",
    "build_dom0",
    "build_tiny_guest",
    "check_builder",
    "dom0_image",
    "tiny_guest",
]
