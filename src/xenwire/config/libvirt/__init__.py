"""libvirt's domain XML as a typed configuration, with warnings of what has no counterpart. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from xenwire.config.diagnostics import Diagnostic, Report
from xenwire.config.libvirt.document import MAX_SIZE, parse
from xenwire.config.libvirt.domain import read_domain
from xenwire.config.libxl.types import DomainConfig

__all__ = ["MAX_SIZE", "ImportedConfig", "from_libvirt"]


@dataclass(frozen=True, slots=True)
class ImportedConfig:
    """A domain, and what of its libvirt configuration has been left out or changed."""

    config: DomainConfig
    warnings: tuple[Diagnostic, ...]


def from_libvirt(data: bytes, source: str) -> ImportedConfig:
    """Read what `virsh dumpxml` prints of a Xen domain, or of a QEMU one as far as Xen has the same.

    `source` names it in messages. Raises ConfigError for what is no XML, has a document type or entities,
    is too large or too deep, or is not the XML of a domain.
    """
    report = Report(source, data)
    root = parse(data, report)
    if root.name != "domain":
        root.error(f"<{root.name[:40]}> is no <domain>", "write it with: virsh dumpxml --inactive DOMAIN")
        raise report.failure()
    config = read_domain(root)
    root.note_rest()
    if report.failed:
        raise report.failure()
    return ImportedConfig(config, report.diagnostics())
