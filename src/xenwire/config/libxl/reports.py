"""What libxl tells of running domains and of the host, and what else it takes.

Made by scripts/libxl-types from types.txt: do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenwire.config.libxl.kinds import (
    BITMAP,
    BOOL,
    DEFBOOL,
    DEVID,
    DOMID,
    HWCAP,
    INT,
    KIB,
    STRING,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    UUID,
    ArrayOf,
    EnumOf,
    StructOf,
    UnionOf,
)
from xenwire.config.libxl.struct import Enumeration, Struct, field
from xenwire.config.libxl.types import ChannelConnection, DeviceDisk, DomainType, Scheduler, UsbctrlType

if TYPE_CHECKING:
    import uuid

__all__ = [
    "Channelinfo",
    "ChannelinfoConnectionMember",
    "ChannelinfoPty",
    "ChannelinfoSocket",
    "ChannelinfoUnknown",
    "CheckpointedStream",
    "Connectorinfo",
    "ConsoleType",
    "Cpupoolinfo",
    "Cputopology",
    "Diskinfo",
    "DomainRemusInfo",
    "DomainRestoreParams",
    "Dominfo",
    "Error",
    "Event",
    "EventDiskEject",
    "EventDomainCreateConsoleAvailable",
    "EventDomainDeath",
    "EventDomainShutdown",
    "EventOperationComplete",
    "EventType",
    "EventTypeMember",
    "Nicinfo",
    "Numainfo",
    "Pcitopology",
    "Pcminfo",
    "Physinfo",
    "PsrCatInfo",
    "PsrCbmType",
    "PsrCmtType",
    "PsrFeatType",
    "PsrHwInfo",
    "PsrHwInfoCat",
    "PsrHwInfoMba",
    "PsrHwInfoTypeMember",
    "SchedCredit2Params",
    "SchedCreditParams",
    "SchedParams",
    "ShutdownReason",
    "Streaminfo",
    "Trigger",
    "Usbctrlinfo",
    "VcpuSchedParams",
    "Vcpuinfo",
    "Vdisplinfo",
    "VersionInfo",
    "Vkbinfo",
    "Vminfo",
    "Vsndinfo",
    "Vtpminfo",
]


class ShutdownReason(Enumeration, later={"UNKNOWN": (4, 4), "SOFT_RESET": (4, 7)}):
    """Why a domain shut down."""

    UNKNOWN = -1
    POWEROFF = 0
    REBOOT = 1
    SUSPEND = 2
    CRASH = 3
    WATCHDOG = 4
    SOFT_RESET = 5


class Dominfo(Struct, name="dominfo"):
    """The state of a domain; cpu_time is in nanoseconds."""

    uuid: uuid.UUID | None = field(UUID, default=None)
    domid: int = field(DOMID, default=0)
    ssidref: int = field(UINT32, default=0)
    ssid_label: str | None = field(STRING, default=None, since=(4, 5))
    running: bool = field(BOOL, default=False)
    blocked: bool = field(BOOL, default=False)
    paused: bool = field(BOOL, default=False)
    shutdown: bool = field(BOOL, default=False)
    dying: bool = field(BOOL, default=False)
    never_stop: bool = field(BOOL, default=False, since=(4, 7))
    shutdown_reason: ShutdownReason = field(EnumOf(ShutdownReason), default=ShutdownReason.UNKNOWN)
    outstanding_memkb: int | None = field(KIB, default=None, since=(4, 3))
    current_memkb: int | None = field(KIB, default=None)
    shared_memkb: int | None = field(KIB, default=None)
    paged_memkb: int | None = field(KIB, default=None)
    max_memkb: int | None = field(KIB, default=None)
    cpu_time: int = field(UINT64, default=0)
    vcpu_max_id: int = field(UINT32, default=0)
    vcpu_online: int = field(UINT32, default=0)
    cpupool: int = field(UINT32, default=0)
    gpaddr_bits: int = field(UINT8, default=0, since=(4, 16))
    domain_type: DomainType = field(EnumOf(DomainType), default=DomainType.INVALID, since=(4, 4))


class Vminfo(Struct, name="vminfo"):
    """The id and the UUID of a domain."""

    uuid: uuid.UUID | None = field(UUID, default=None)
    domid: int = field(DOMID, default=0)


class Vcpuinfo(Struct, name="vcpuinfo"):
    """The state of a virtual CPU; vcpu_time is in nanoseconds."""

    vcpuid: int = field(UINT32, default=0)
    cpu: int = field(UINT32, default=0)
    online: bool = field(BOOL, default=False)
    blocked: bool = field(BOOL, default=False)
    running: bool = field(BOOL, default=False)
    vcpu_time: int = field(UINT64, default=0)
    cpumap: frozenset[int] = field(BITMAP, default=frozenset())
    cpumap_soft: frozenset[int] = field(BITMAP, default=frozenset(), since=(4, 5))


class Cpupoolinfo(Struct, name="cpupoolinfo"):
    """A pool of CPUs."""

    poolid: int = field(UINT32, default=0)
    pool_name: str | None = field(STRING, default=None, since=(4, 5))
    sched: Scheduler = field(EnumOf(Scheduler), default=Scheduler.UNKNOWN)
    n_dom: int = field(UINT32, default=0)
    cpumap: frozenset[int] = field(BITMAP, default=frozenset())


class ChannelinfoUnknown(
    Struct, name="channelinfo.connection.unknown", since=(4, 5), key=ChannelConnection.UNKNOWN
):
    """The member `unknown` of Channelinfo."""


class ChannelinfoPty(Struct, name="channelinfo.connection.pty", since=(4, 5), key=ChannelConnection.PTY):
    """The member `pty` of Channelinfo."""

    path: str | None = field(STRING, default=None)


class ChannelinfoSocket(
    Struct, name="channelinfo.connection.socket", since=(4, 5), key=ChannelConnection.SOCKET
):
    """The member `socket` of Channelinfo."""


ChannelinfoConnectionMember = ChannelinfoUnknown | ChannelinfoPty | ChannelinfoSocket


class Channelinfo(Struct, name="channelinfo", since=(4, 5)):
    """The state of a channel."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    evtch: int = field(INT, default=0)
    rref: int = field(INT, default=0)
    connection: ChannelinfoConnectionMember = field(
        UnionOf(ChannelinfoConnectionMember), default=ChannelinfoUnknown()
    )


class Diskinfo(Struct, name="diskinfo"):
    """The state of a disk."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    evtch: int = field(INT, default=0)
    rref: int = field(INT, default=0)


class Nicinfo(Struct, name="nicinfo"):
    """The state of a network card."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    evtch: int = field(INT, default=0)
    rref_tx: int = field(INT, default=0)
    rref_rx: int = field(INT, default=0)


class Vtpminfo(Struct, name="vtpminfo", since=(4, 3)):
    """The state of a virtual TPM."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    evtch: int = field(INT, default=0)
    rref: int = field(INT, default=0)
    uuid: uuid.UUID | None = field(UUID, default=None)


class Usbctrlinfo(Struct, name="usbctrlinfo", since=(4, 7)):
    """The state of a virtual USB controller."""

    type: UsbctrlType = field(EnumOf(UsbctrlType), default=UsbctrlType.AUTO)
    devid: int = field(DEVID, default=-1)
    version: int = field(INT, default=0)
    ports: int = field(INT, default=0)
    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    state: int = field(INT, default=0)
    evtch: int = field(INT, default=0)
    ref_urb: int = field(INT, default=0)
    ref_conn: int = field(INT, default=0)


class Vkbinfo(Struct, name="vkbinfo", since=(4, 12)):
    """The state of a virtual keyboard."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    evtch: int = field(INT, default=0)
    rref: int = field(INT, default=0)


class Connectorinfo(Struct, name="connectorinfo", since=(4, 10)):
    """The state of a screen of a virtual display."""

    unique_id: str | None = field(STRING, default=None, since=(4, 12))
    width: int = field(UINT32, default=0)
    height: int = field(UINT32, default=0)
    req_evtch: int = field(INT, default=0)
    req_rref: int = field(INT, default=0)
    evt_evtch: int = field(INT, default=0)
    evt_rref: int = field(INT, default=0)


class Vdisplinfo(Struct, name="vdisplinfo", since=(4, 10)):
    """The state of a virtual display."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    be_alloc: bool = field(BOOL, default=False)
    connectors: tuple[Connectorinfo, ...] = field(ArrayOf(StructOf(Connectorinfo)), default=())


class Streaminfo(Struct, name="streaminfo", since=(4, 12)):
    """The state of a sound stream."""

    req_evtch: int = field(INT, default=0)
    req_rref: int = field(INT, default=0)


class Pcminfo(Struct, name="pcminfo", since=(4, 12)):
    """The state of a PCM device."""

    streams: tuple[Streaminfo, ...] = field(ArrayOf(StructOf(Streaminfo)), default=())


class Vsndinfo(Struct, name="vsndinfo", since=(4, 12)):
    """The state of a virtual sound card."""

    backend: str | None = field(STRING, default=None)
    backend_id: int = field(UINT32, default=0)
    frontend: str | None = field(STRING, default=None)
    frontend_id: int = field(UINT32, default=0)
    devid: int = field(DEVID, default=-1)
    state: int = field(INT, default=0)
    pcms: tuple[Pcminfo, ...] = field(ArrayOf(StructOf(Pcminfo)), default=())


class Physinfo(Struct, name="physinfo"):
    """What the host has; memory is counted in pages."""

    threads_per_core: int = field(UINT32, default=0)
    cores_per_socket: int = field(UINT32, default=0)
    max_cpu_id: int = field(UINT32, default=0)
    nr_cpus: int = field(UINT32, default=0)
    cpu_khz: int = field(UINT32, default=0)
    total_pages: int = field(UINT64, default=0)
    free_pages: int = field(UINT64, default=0)
    scrub_pages: int = field(UINT64, default=0)
    outstanding_pages: int = field(UINT64, default=0, since=(4, 3))
    sharing_freed_pages: int = field(UINT64, default=0)
    sharing_used_frames: int = field(UINT64, default=0)
    max_possible_mfn: int = field(UINT64, default=0, since=(4, 10))
    nr_nodes: int = field(UINT32, default=0)
    hw_cap: tuple[int, ...] = field(HWCAP, default=(0, 0, 0, 0))
    cap_hvm: bool = field(BOOL, default=False)
    cap_pv: bool = field(BOOL, default=False, since=(4, 12))
    cap_hvm_directio: bool = field(BOOL, default=False)
    cap_hap: bool = field(BOOL, default=False, since=(4, 13))
    cap_shadow: bool = field(BOOL, default=False, since=(4, 13))
    cap_iommu_hap_pt_share: bool = field(BOOL, default=False, since=(4, 13))
    cap_vmtrace: bool = field(BOOL, default=False, since=(4, 15))
    cap_vpmu: bool = field(BOOL, default=False, since=(4, 16))
    cap_gnttab_v1: bool = field(BOOL, default=False, since=(4, 16))
    cap_gnttab_v2: bool = field(BOOL, default=False, since=(4, 16))
    arch_capabilities: int = field(UINT32, default=0, since=(4, 18))


class VersionInfo(Struct, name="version_info"):
    """What is known of the running Xen."""

    xen_version_major: int = field(INT, default=0)
    xen_version_minor: int = field(INT, default=0)
    xen_version_extra: str | None = field(STRING, default=None)
    compiler: str | None = field(STRING, default=None)
    compile_by: str | None = field(STRING, default=None)
    compile_domain: str | None = field(STRING, default=None)
    compile_date: str | None = field(STRING, default=None)
    capabilities: str | None = field(STRING, default=None)
    changeset: str | None = field(STRING, default=None)
    virt_start: int = field(UINT64, default=0)
    pagesize: int = field(INT, default=0)
    commandline: str | None = field(STRING, default=None)
    build_id: str | None = field(STRING, default=None, since=(4, 7))


class Numainfo(Struct, name="numainfo"):
    """A NUMA node of the host: its memory in bytes, and how far the others are."""

    size: int = field(UINT64, default=0)
    free: int = field(UINT64, default=0)
    dists: tuple[int, ...] = field(ArrayOf(UINT32), default=())


class Cputopology(Struct, name="cputopology"):
    """Where a CPU of the host is."""

    core: int = field(UINT32, default=0)
    socket: int = field(UINT32, default=0)
    node: int = field(UINT32, default=0)


class Pcitopology(Struct, name="pcitopology", since=(4, 6)):
    """Where a PCI device of the host is."""

    seg: int = field(UINT16, default=0)
    bus: int = field(UINT8, default=0)
    devfn: int = field(UINT8, default=0)
    node: int = field(UINT32, default=0)


class EventType(Enumeration):
    """The kind of an event."""

    DOMAIN_SHUTDOWN = 1
    DOMAIN_DEATH = 2
    DISK_EJECT = 3
    OPERATION_COMPLETE = 4
    DOMAIN_CREATE_CONSOLE_AVAILABLE = 5


class EventDomainShutdown(Struct, name="event.type.domain_shutdown", key=EventType.DOMAIN_SHUTDOWN):
    """The member `domain_shutdown` of Event."""

    shutdown_reason: int = field(UINT8, default=0)


class EventDomainDeath(Struct, name="event.type.domain_death", key=EventType.DOMAIN_DEATH):
    """The member `domain_death` of Event."""


class EventDiskEject(Struct, name="event.type.disk_eject", key=EventType.DISK_EJECT):
    """The member `disk_eject` of Event."""

    vdev: str | None = field(STRING, default=None)
    disk: DeviceDisk = field(StructOf(DeviceDisk), default=DeviceDisk())


class EventOperationComplete(Struct, name="event.type.operation_complete", key=EventType.OPERATION_COMPLETE):
    """The member `operation_complete` of Event."""

    rc: int = field(INT, default=0)


class EventDomainCreateConsoleAvailable(
    Struct, name="event.type.domain_create_console_available", key=EventType.DOMAIN_CREATE_CONSOLE_AVAILABLE
):
    """The member `domain_create_console_available` of Event."""


EventTypeMember = (
    EventDomainShutdown
    | EventDomainDeath
    | EventDiskEject
    | EventOperationComplete
    | EventDomainCreateConsoleAvailable
)


class Event(Struct, name="event"):
    """Something that happened to a domain."""

    domid: int = field(DOMID, default=0)
    domuuid: uuid.UUID | None = field(UUID, default=None)
    for_user: int = field(UINT64, default=0)
    type: EventTypeMember | None = field(UnionOf(EventTypeMember), default=None)


class DomainRestoreParams(Struct, name="domain_restore_params", since=(4, 4)):
    """How a saved domain is restored."""

    checkpointed_stream: int = field(INT, default=0)
    stream_version: int = field(UINT32, default=1, since=(4, 6))
    colo_proxy_script: str | None = field(STRING, default=None, since=(4, 7))
    userspace_colo_proxy: bool | None = field(DEFBOOL, default=None, since=(4, 9))


class DomainRemusInfo(Struct, name="domain_remus_info"):
    """How a domain is replicated; the interval is in milliseconds."""

    interval: int = field(INT, default=0)
    allow_unsafe: bool | None = field(DEFBOOL, default=None, since=(4, 5))
    blackhole: bool | None = field(DEFBOOL, default=None)
    compression: bool | None = field(DEFBOOL, default=None)
    netbuf: bool | None = field(DEFBOOL, default=None, since=(4, 5))
    netbufscript: str | None = field(STRING, default=None, since=(4, 5))
    diskbuf: bool | None = field(DEFBOOL, default=None, since=(4, 5))
    colo: bool | None = field(DEFBOOL, default=None, since=(4, 7))
    userspace_colo_proxy: bool | None = field(DEFBOOL, default=None, since=(4, 9))


class SchedParams(Struct, name="sched_params", since=(4, 7)):
    """One virtual CPU's parameters for the scheduler; -1 leaves them to it."""

    vcpuid: int = field(INT, default=-1)
    weight: int = field(INT, default=-1)
    cap: int = field(INT, default=-1)
    period: int = field(INT, default=-1)
    extratime: int = field(INT, default=-1)
    budget: int = field(INT, default=-1)


class VcpuSchedParams(Struct, name="vcpu_sched_params", since=(4, 7)):
    """The virtual CPUs' parameters for the scheduler."""

    sched: Scheduler = field(EnumOf(Scheduler), default=Scheduler.UNKNOWN)
    vcpus: tuple[SchedParams, ...] = field(ArrayOf(StructOf(SchedParams)), default=())


class SchedCreditParams(Struct, name="sched_credit_params"):
    """The credit scheduler's parameters for a pool of CPUs."""

    tslice_ms: int = field(INT, default=0)
    ratelimit_us: int = field(INT, default=0)
    vcpu_migr_delay_us: int = field(INT, default=0, since=(4, 11))


class SchedCredit2Params(Struct, name="sched_credit2_params", since=(4, 8)):
    """The credit2 scheduler's parameters for a pool of CPUs."""

    ratelimit_us: int = field(INT, default=0)


class PsrCatInfo(Struct, name="psr_cat_info", since=(4, 6)):
    """What cache allocation can do."""

    id: int = field(UINT32, default=0)
    cos_max: int = field(UINT32, default=0)
    cbm_len: int = field(UINT32, default=0)
    cdp_enabled: bool = field(BOOL, default=False, since=(4, 7))


class PsrFeatType(Enumeration, since=(4, 11)):
    """A feature of platform shared resources."""

    CAT = 1
    MBA = 2


class PsrHwInfoCat(Struct, name="psr_hw_info.type.cat", since=(4, 11), key=PsrFeatType.CAT):
    """The member `cat` of PsrHwInfo."""

    cos_max: int = field(UINT32, default=0)
    cbm_len: int = field(UINT32, default=0)
    cdp_enabled: bool = field(BOOL, default=False)


class PsrHwInfoMba(Struct, name="psr_hw_info.type.mba", since=(4, 11), key=PsrFeatType.MBA):
    """The member `mba` of PsrHwInfo."""

    cos_max: int = field(UINT32, default=0)
    thrtl_max: int = field(UINT32, default=0)
    linear: bool = field(BOOL, default=False)


PsrHwInfoTypeMember = PsrHwInfoCat | PsrHwInfoMba


class PsrHwInfo(Struct, name="psr_hw_info", since=(4, 11)):
    """What the hardware can do for a platform shared resource."""

    id: int = field(UINT32, default=0)
    type: PsrHwInfoTypeMember | None = field(UnionOf(PsrHwInfoTypeMember), default=None)


class Error(
    Enumeration,
    since=(4, 4),
    later={
        "LOCK_FAIL": (4, 5),
        "JSON_CONFIG_EMPTY": (4, 5),
        "DEVICE_EXISTS": (4, 5),
        "CHECKPOINT_DEVOPS_DOES_NOT_MATCH": (4, 7),
        "CHECKPOINT_DEVICE_NOT_SUPPORTED": (4, 7),
        "VNUMA_CONFIG_INVALID": (4, 6),
        "DOMAIN_NOTFOUND": (4, 6),
        "ABORTED": (4, 6),
        "NOTFOUND": (4, 6),
        "DOMAIN_DESTROYED": (4, 6),
        "FEATURE_REMOVED": (4, 6),
        "PROTOCOL_ERROR_QMP": (4, 12),
        "UNKNOWN_QMP_ERROR": (4, 12),
        "QMP_GENERIC_ERROR": (4, 12),
        "QMP_COMMAND_NOT_FOUND": (4, 12),
        "QMP_DEVICE_NOT_ACTIVE": (4, 12),
        "QMP_DEVICE_NOT_FOUND": (4, 12),
        "QEMU_API": (4, 12),
    },
):
    """The errors that functions of libxl return."""

    NONSPECIFIC = -1
    VERSION = -2
    FAIL = -3
    NI = -4
    NOMEM = -5
    INVAL = -6
    BADFAIL = -7
    GUEST_TIMEDOUT = -8
    TIMEDOUT = -9
    NOPARAVIRT = -10
    NOT_READY = -11
    OSEVENT_REG_FAIL = -12
    BUFFERFULL = -13
    UNKNOWN_CHILD = -14
    LOCK_FAIL = -15
    JSON_CONFIG_EMPTY = -16
    DEVICE_EXISTS = -17
    CHECKPOINT_DEVOPS_DOES_NOT_MATCH = -18
    CHECKPOINT_DEVICE_NOT_SUPPORTED = -19
    VNUMA_CONFIG_INVALID = -20
    DOMAIN_NOTFOUND = -21
    ABORTED = -22
    NOTFOUND = -23
    DOMAIN_DESTROYED = -24
    FEATURE_REMOVED = -25
    PROTOCOL_ERROR_QMP = -26
    UNKNOWN_QMP_ERROR = -27
    QMP_GENERIC_ERROR = -28
    QMP_COMMAND_NOT_FOUND = -29
    QMP_DEVICE_NOT_ACTIVE = -30
    QMP_DEVICE_NOT_FOUND = -31
    QEMU_API = -32


class ConsoleType(Enumeration, later={"UNKNOWN": (4, 4), "VUART": (4, 10)}):
    """The kind of a console."""

    UNKNOWN = 0
    SERIAL = 1
    PV = 2
    VUART = 3


class Trigger(Enumeration):
    """An event that can be sent to a domain."""

    UNKNOWN = 0
    POWER = 1
    SLEEP = 2
    NMI = 3
    INIT = 4
    RESET = 5
    S3RESUME = 6


class CheckpointedStream(Enumeration, since=(4, 7)):
    """The kind of a continuous migration."""

    NONE = 0
    REMUS = 1
    COLO = 2


class PsrCmtType(Enumeration, since=(4, 5), later={"TOTAL_MEM_COUNT": (4, 6), "LOCAL_MEM_COUNT": (4, 6)}):
    """What cache monitoring counts."""

    CACHE_OCCUPANCY = 1
    TOTAL_MEM_COUNT = 2
    LOCAL_MEM_COUNT = 3


class PsrCbmType(
    Enumeration,
    since=(4, 6),
    later={"L3_CBM_CODE": (4, 7), "L3_CBM_DATA": (4, 7), "L2_CBM": (4, 10), "MBA_THRTL": (4, 11)},
):
    """What a platform shared resource limit is for."""

    UNKNOWN = 0
    L3_CBM = 1
    L3_CBM_CODE = 2
    L3_CBM_DATA = 3
    L2_CBM = 4
    MBA_THRTL = 5
