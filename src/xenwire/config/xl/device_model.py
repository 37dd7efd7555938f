"""The device model: QEMU, perhaps in a domain of its own (xen: tools/xl/xl_parse.c, from device_model to
device_model_args_hvm).
"""

from __future__ import annotations

from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import DeviceModelVersion, DomainType
from xenwire.config.parser import Text
from xenwire.config.xl.deprecated import DEPRECATED
from xenwire.config.xl.reader import NOT_A_LIST, decoded
from xenwire.config.xl.rows import Draft, Part, Row, boolean, function, mebibytes, text

__all__ = ["ROWS"]

_VERSIONS: Final = {
    b"qemu-xen-traditional": DeviceModelVersion.QEMU_XEN_TRADITIONAL,
    b"qemu-xen": DeviceModelVersion.QEMU_XEN,
}


def _device_model(draft: Draft) -> None:
    value = draft.reader.single("device_model")
    if value is None:
        return
    words = (
        b"WARNING: ignoring device_model directive.\n"
        b'WARNING: Use "device_model_override" instead if you really want a non-default device_model\n'
    )
    if b"stubdom-dm" not in value.value:
        pass
    elif draft.type is DomainType.HVM:
        words += b'WARNING: Or use "device_model_stubdomain_override" if you  want to enable stubdomains\n'
    else:
        words += b'WARNING: ignoring "device_model_stubdomain_override" directive for pv guest\n'
    draft.warn("device_model", "xl ignores device_model", DEPRECATED["device_model"], xl=words, at_key=True)


def _version(draft: Draft) -> None:
    build = draft.parts[Part.B_INFO]
    value = draft.reader.single("device_model_version")
    if value is None:
        if "device_model" in build:
            draft.warn(
                "device_model_override",
                "device_model_override without device_model_version",
                'add device_model_version = "qemu-xen"',
                xl=b"WARNING: device model override given without specific DM version\n",
            )
    elif value.value in _VERSIONS:
        build["device_model_version"] = _VERSIONS[value.value]
    else:
        draft.refuse(
            "device_model_version",
            f'device_model_version cannot be "{shown(value.value)}"',
            f"xl knows {b', '.join(_VERSIONS).decode()}",
            xl=b'Unknown device_model_version "%s" specified\n' % value.value,
        )


def _arguments(key: str, field: str) -> Row:
    """Give a row for arguments of QEMU, which have to be a list."""

    def read(draft: Draft) -> None:
        value = draft.reader.value(key)
        if isinstance(value, Text):
            name = key.encode()
            warning = draft.reader.xl_warning(value.start, NOT_A_LIST % name)
            draft.refuse(
                key,
                f"{key} is a single value, but should be a list",
                "put it in [ ]",
                xl=b"%sxl: Unable to parse %s.\n" % (warning, name),
                status=3,
            )
        else:
            texts = draft.reader.texts(key) or ()
            draft.parts[Part.B_INFO][field] = tuple(decoded(text.value) for text in texts)

    return Row({key: "L"}, read)


ROWS: Final = (
    function(_device_model, device_model="T"),
    text("device_model_override", Part.B_INFO, "device_model"),
    function(_version, device_model_version="T", always=True),
    boolean("device_model_stubdomain_override", Part.B_INFO, "device_model_stubdomain"),
    text("device_model_stubdomain_seclabel", Part.B_INFO, "device_model_ssid_label"),
    text("device_model_user", Part.B_INFO),
    text("stubdomain_kernel", Part.B_INFO),
    text("stubdomain_cmdline", Part.B_INFO),
    text("stubdomain_ramdisk", Part.B_INFO),
    mebibytes("stubdomain_memory", Part.B_INFO, "stubdomain_memkb"),
    _arguments("device_model_args", "extra"),
    _arguments("device_model_args_pv", "extra_pv"),
    _arguments("device_model_args_hvm", "extra_hvm"),
)
