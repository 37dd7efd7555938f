"""Interface files (libxl_types.idl): the types that libxl's users share, read and compared. Opens nothing."""

from xenwire.config.idl.diff import Change, Difference, differences
from xenwire.config.idl.model import Interface, as_dict
from xenwire.config.idl.reader import MAX_SIZE, read_idl
from xenwire.config.idl.show import listing

__all__ = [
    "MAX_SIZE",
    "Change",
    "Difference",
    "Interface",
    "as_dict",
    "differences",
    "listing",
    "read_idl",
]
