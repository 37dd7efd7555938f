"""Xenwire: device models and private wires for virtual machines, over Xenstore."""

__version__ = "0.1.0"
