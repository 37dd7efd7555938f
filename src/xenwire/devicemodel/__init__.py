"""The protocol between a toolstack and a device model, both ends (seeds 000 and 001).

`agent` is the device model's end: a process per domain that owns one QEMU. `toolstack` is the other. They
meet below `$QEMU`, which `nodes` names, and nowhere else.
"""
