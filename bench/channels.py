"""What channels cost that we serve: on the loopback, and on a real Xen beside QEMU's.

`python -m bench channels_loopback` and `python -m bench channels_lab` run one of the two.
"""

from __future__ import annotations

from bench import channels_lab, channels_loopback


def run() -> None:
    channels_loopback.run()
    channels_lab.run()
