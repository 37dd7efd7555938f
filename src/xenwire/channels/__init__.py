"""Channels: named byte streams between a guest and its host (seeds 002 and 004).

A channel is a PV console with a name. `keys` says how it stands in the store, `endpoints` opens its host
end, `qemu` serves it with a QEMU character device.
"""
