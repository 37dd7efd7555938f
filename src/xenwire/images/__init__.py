"""The only builder of disks, kernels and ramdisks: tiny guest, Debian guest, dom0 of a lab."""

from __future__ import annotations

from xenwire.images.debian import Progress
from xenwire.images.debian_guest import DebianGuest, build_debian_guest, debian_guest
from xenwire.images.dom0 import Dom0Image, Release, build_dom0, dom0_image
from xenwire.images.guest import GuestImage, build_tiny_guest, tiny_guest
from xenwire.images.rootdisk import check as check_builder
from xenwire.images.seed import nocloud_seed

__all__ = [
    "DebianGuest",
    "Dom0Image",
    "GuestImage",
    "Progress",
    "Release",
    "build_debian_guest",
    "build_dom0",
    "build_tiny_guest",
    "check_builder",
    "debian_guest",
    "dom0_image",
    "nocloud_seed",
    "tiny_guest",
]
