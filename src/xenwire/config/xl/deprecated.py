"""Keys that xl still reads though it should be told otherwise (xl.cfg(5); xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from typing import Final

__all__ = ["DEPRECATED"]

DEPRECATED: Final = {
    "altp2mhvm": 'write altp2m = "mixed" instead',
    "builder": 'write type = "hvm" or type = "pv" instead',
    "device_model": "device_model_override names another device model",
    "msr_relaxed": "xl will drop it in a future version",
    "stdvga": 'write vga = "stdvga" instead',
    "vif2": "netchannel2 is gone; write vif instead",
    "vncviewer": "the option -V of xl create starts a viewer",
}
"""Each with the advice to give."""
