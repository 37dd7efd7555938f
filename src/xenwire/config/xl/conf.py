"""/etc/xen/xl.conf: the defaults of a host, in the language of xl.cfg (xen: tools/xl/xl.c)."""

from __future__ import annotations

from typing import Final

from xenwire.config.numbers import int32
from xenwire.config.xl.facts import HostFacts, XlConf
from xenwire.config.xl.reader import open_settings

__all__ = ["read_xl_conf"]

_INT_MAX: Final = 2**31 - 1


def read_xl_conf(data: bytes, source: str) -> XlConf:
    """Read the settings that change what a configuration means; the others are left alone.

    Values of the wrong type count as absent, as in xl. Raises ConfigError for what makes xl refuse to start:
    errors in the language, and limits of grants that are no numbers.
    """
    reader = open_settings(data, source, HostFacts())
    report = reader.report

    def flag(key: str) -> bool:
        number = reader.number(key)
        return number is None or int32(number) != 0

    def limit(key: str) -> int | None:
        number = reader.try_number(key)
        if key in reader.settings and (number is None or not 0 <= number <= _INT_MAX):
            report.error(reader.place(key), f"{key} is no number from 0 to {_INT_MAX}")
        return number

    conf = XlConf(
        run_hotplug_scripts=flag("run_hotplug_scripts"),
        claim_mode=flag("claim_mode"),
        max_grant_frames=limit("max_grant_frames"),
        max_maptrack_frames=limit("max_maptrack_frames"),
        max_grant_version=limit("max_grant_version"),
        blkdev_start=reader.text("blkdev_start"),
        vif_script=_first(reader.text("vif.default.script"), reader.text("vifscript")),
        vif_bridge=_first(reader.text("vif.default.bridge"), reader.text("defaultbridge")),
        vif_gatewaydev=reader.text("vif.default.gatewaydev"),
        vif_backend=reader.text("vif.default.backend"),
    )
    if report.failed:
        raise report.failure()
    return conf


def _first(value: str | None, deprecated: str | None) -> str | None:
    return deprecated if value is None else value
