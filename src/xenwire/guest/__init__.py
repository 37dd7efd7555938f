"""What runs inside a guest: find a channel by name, over Xen or virtio, and hand it to a program.

Guests are small places: nothing here needs more than Python itself.
"""
