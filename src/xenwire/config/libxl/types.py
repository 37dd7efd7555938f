"""The configuration of a domain.

Made by scripts/libxl-types from types.txt: do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenwire.config.libxl.cpuid import CPUID_POLICY_LIST, CpuidPolicies
from xenwire.config.libxl.kinds import (
    BITMAP,
    BOOL,
    DEFBOOL,
    DEVID,
    DOMID,
    INT,
    KEY_VALUE_LIST,
    KIB,
    MAC,
    MS_VM_GENID,
    STRING,
    STRING_LIST,
    UINT8,
    UINT32,
    UINT64,
    UUID,
    ArrayOf,
    EnumOf,
    StructOf,
    UnionOf,
)
from xenwire.config.libxl.struct import Enumeration, Struct, field
from xenwire.config.libxl.version import EXTENSION

if TYPE_CHECKING:
    import uuid

__all__ = [
    "ActionOnShutdown",
    "Altp2mMode",
    "ArmSci",
    "ArmSciType",
    "BiosType",
    "ChannelConnection",
    "ConnectorParam",
    "DeviceChannel",
    "DeviceChannelConnectionMember",
    "DeviceChannelNone",
    "DeviceChannelPath",
    "DeviceChannelPty",
    "DeviceChannelSocket",
    "DeviceChannelUnknown",
    "DeviceDisk",
    "DeviceDtdev",
    "DeviceModelVersion",
    "DeviceNic",
    "DeviceP9",
    "DevicePci",
    "DevicePvcallsif",
    "DeviceRdm",
    "DeviceUsbctrl",
    "DeviceUsbdev",
    "DeviceUsbdevHostdev",
    "DeviceUsbdevTypeMember",
    "DeviceVdispl",
    "DeviceVfb",
    "DeviceVirtio",
    "DeviceVkb",
    "DeviceVsnd",
    "DeviceVtpm",
    "DiskBackend",
    "DiskFormat",
    "DiskSpecification",
    "DiskTransport",
    "DomainBuildInfo",
    "DomainBuildInfoArchArm",
    "DomainBuildInfoArchX86",
    "DomainBuildInfoHvm",
    "DomainBuildInfoInvalid",
    "DomainBuildInfoPv",
    "DomainBuildInfoPvh",
    "DomainBuildInfoTypeMember",
    "DomainConfig",
    "DomainCreateInfo",
    "DomainSchedParams",
    "DomainType",
    "GfxPassthruKind",
    "GicVersion",
    "Hdtype",
    "IomemRange",
    "IoportRange",
    "NicType",
    "P9Type",
    "Passthrough",
    "RdmReserve",
    "RdmReservePolicy",
    "RdmReserveStrategy",
    "Scheduler",
    "SdlInfo",
    "Smbios",
    "SmbiosType",
    "SpiceInfo",
    "SveType",
    "TeeType",
    "TimerMode",
    "TscMode",
    "UsbctrlType",
    "UsbdevType",
    "VendorDevice",
    "VgaInterfaceInfo",
    "VgaInterfaceType",
    "ViridianEnlightenment",
    "VirtioTransport",
    "VkbBackend",
    "VncInfo",
    "VnodeInfo",
    "VsndParams",
    "VsndPcm",
    "VsndPcmFormat",
    "VsndStream",
    "VsndStreamType",
    "VuartType",
    "XsQuotaItem",
    "XsQuotaList",
]


class DomainType(Enumeration, later={"PVH": (4, 10)}):
    """How a guest is virtualised."""

    INVALID = -1
    HVM = 1
    PV = 2
    PVH = 3


class Passthrough(Enumeration, since=(4, 13)):
    """Whether devices can be passed through, and whose page tables the IOMMU uses."""

    DEFAULT = 0
    DISABLED = 1
    ENABLED = 2
    SYNC_PT = 3
    SHARE_PT = 4


class DomainCreateInfo(Struct, name="domain_create_info"):
    """What a domain is."""

    type: DomainType = field(EnumOf(DomainType), default=DomainType.INVALID)
    hap: bool | None = field(DEFBOOL, default=None)
    oos: bool | None = field(DEFBOOL, default=None)
    ssidref: int = field(UINT32, default=0)
    ssid_label: str | None = field(STRING, default=None, since=(4, 5))
    name: str | None = field(STRING, default=None)
    domid: int = field(DOMID, default=0, since=(4, 14))
    uuid: uuid.UUID | None = field(UUID, default=None)
    xsdata: tuple[tuple[str, str | None], ...] = field(KEY_VALUE_LIST, default=())
    platformdata: tuple[tuple[str, str | None], ...] = field(KEY_VALUE_LIST, default=())
    poolid: int = field(UINT32, default=0)
    pool_name: str | None = field(STRING, default=None, since=(4, 5))
    run_hotplug_scripts: bool | None = field(DEFBOOL, default=None)
    driver_domain: bool | None = field(DEFBOOL, default=None, since=(4, 4))
    passthrough: Passthrough = field(EnumOf(Passthrough), default=Passthrough.DEFAULT, since=(4, 13))
    xend_suspend_evtchn_compat: bool | None = field(DEFBOOL, default=None, since=(4, 14))


class TscMode(Enumeration):
    """How the time stamp counter behaves."""

    DEFAULT = 0
    ALWAYS_EMULATE = 1
    NATIVE = 2
    NATIVE_PARAVIRT = 3


class VnodeInfo(Struct, name="vnode_info", since=(4, 6)):
    """A virtual NUMA node."""

    memkb: int | None = field(KIB, default=None)
    distances: tuple[int, ...] = field(ArrayOf(UINT32), default=())
    pnode: int = field(UINT32, default=0)
    vcpus: frozenset[int] = field(BITMAP, default=frozenset())


class DeviceModelVersion(Enumeration, later={"UNKNOWN": (4, 4)}):
    """Which device model serves the guest."""

    UNKNOWN = 0
    QEMU_XEN_TRADITIONAL = 1
    QEMU_XEN = 2


class Scheduler(Enumeration, later={"RTDS": (4, 5), "NULL": (4, 9)}):
    """A scheduler of Xen."""

    UNKNOWN = 0
    SEDF = 4
    CREDIT = 5
    CREDIT2 = 6
    ARINC653 = 7
    RTDS = 8
    NULL = 9


class DomainSchedParams(Struct, name="domain_sched_params"):
    """A domain's parameters for the scheduler; -1 leaves them to it."""

    sched: Scheduler = field(EnumOf(Scheduler), default=Scheduler.UNKNOWN)
    weight: int = field(INT, default=-1)
    cap: int = field(INT, default=-1)
    period: int = field(INT, default=-1)
    budget: int = field(INT, default=-1, since=(4, 5))
    extratime: int = field(INT, default=-1)
    slice: int = field(INT, default=-1)
    latency: int = field(INT, default=-1)


class IoportRange(Struct, name="ioport_range"):
    """Input and output ports of the host (x86)."""

    first: int = field(UINT32, default=0)
    number: int = field(UINT32, default=0)


class IomemRange(Struct, name="iomem_range", since=(4, 3)):
    """Frames of the host's memory, by frame number, and where the guest sees them."""

    start: int = field(UINT64, default=0)
    number: int = field(UINT64, default=0)
    gfn: int = field(UINT64, default=18446744073709551615, since=(4, 5))


class TimerMode(Enumeration, later={"UNKNOWN": (4, 4)}):
    """How an HVM guest gets the timer ticks that it missed."""

    UNKNOWN = -1
    DELAY_FOR_MISSED_TICKS = 0
    NO_DELAY_FOR_MISSED_TICKS = 1
    NO_MISSED_TICKS_PENDING = 2
    ONE_MISSED_TICK_PENDING = 3


class TeeType(Enumeration, since=(4, 13), later={"FFA": (4, 18)}):
    """A trusted execution environment (Arm)."""

    NONE = 0
    OPTEE = 1
    FFA = 2


class BiosType(Enumeration, later={"UNKNOWN": (4, 4)}):
    """The firmware of an HVM guest."""

    UNKNOWN = 0
    ROMBIOS = 1
    SEABIOS = 2
    OVMF = 3


class SmbiosType(Enumeration, since=(4, 18)):
    """A string of the SMBIOS tables."""

    BIOS_VENDOR = 1
    BIOS_VERSION = 2
    SYSTEM_MANUFACTURER = 3
    SYSTEM_PRODUCT_NAME = 4
    SYSTEM_VERSION = 5
    SYSTEM_SERIAL_NUMBER = 6
    BASEBOARD_MANUFACTURER = 7
    BASEBOARD_PRODUCT_NAME = 8
    BASEBOARD_VERSION = 9
    BASEBOARD_SERIAL_NUMBER = 10
    BASEBOARD_ASSET_TAG = 11
    BASEBOARD_LOCATION_IN_CHASSIS = 12
    ENCLOSURE_MANUFACTURER = 13
    ENCLOSURE_SERIAL_NUMBER = 14
    ENCLOSURE_ASSET_TAG = 15
    BATTERY_MANUFACTURER = 16
    BATTERY_DEVICE_NAME = 17
    OEM = 18


class Smbios(Struct, name="smbios", since=(4, 18)):
    """One string of the SMBIOS tables."""

    key: SmbiosType | None = field(EnumOf(SmbiosType), default=None)
    value: str | None = field(STRING, default=None)


class Hdtype(Enumeration, since=(4, 6)):
    """The controller of emulated disks."""

    IDE = 1
    AHCI = 2


class VgaInterfaceType(Enumeration, later={"UNKNOWN": (4, 7), "NONE": (4, 5), "QXL": (4, 6)}):
    """The emulated graphics card."""

    UNKNOWN = 0
    CIRRUS = 1
    STD = 2
    NONE = 3
    QXL = 4


class VgaInterfaceInfo(Struct, name="vga_interface_info"):
    """The emulated graphics card."""

    kind: VgaInterfaceType = field(EnumOf(VgaInterfaceType), default=VgaInterfaceType.UNKNOWN)


class VncInfo(Struct, name="vnc_info"):
    """The screen over VNC."""

    enable: bool | None = field(DEFBOOL, default=None)
    listen: str | None = field(STRING, default=None)
    passwd: str | None = field(STRING, default=None)
    display: int = field(INT, default=0)
    findunused: bool | None = field(DEFBOOL, default=None)


class SdlInfo(Struct, name="sdl_info"):
    """The screen in a window of the host."""

    enable: bool | None = field(DEFBOOL, default=None)
    opengl: bool | None = field(DEFBOOL, default=None)
    display: str | None = field(STRING, default=None)
    xauthority: str | None = field(STRING, default=None)


class SpiceInfo(Struct, name="spice_info"):
    """The screen over SPICE."""

    enable: bool | None = field(DEFBOOL, default=None)
    port: int = field(INT, default=0)
    tls_port: int = field(INT, default=0)
    host: str | None = field(STRING, default=None)
    disable_ticketing: bool | None = field(DEFBOOL, default=None)
    passwd: str | None = field(STRING, default=None)
    agent_mouse: bool | None = field(DEFBOOL, default=None)
    vdagent: bool | None = field(DEFBOOL, default=None, since=(4, 4))
    clipboard_sharing: bool | None = field(DEFBOOL, default=None, since=(4, 4))
    usbredirection: int = field(INT, default=0, since=(4, 4))
    image_compression: str | None = field(STRING, default=None, since=(4, 6))
    streaming_video: str | None = field(STRING, default=None, since=(4, 6))


class GfxPassthruKind(Enumeration, since=(4, 7)):
    """How a graphics card is passed through."""

    DEFAULT = 0
    IGD = 1


class VendorDevice(Enumeration, since=(4, 4)):
    """The vendor of the PV driver device."""

    NONE = 0
    XENSERVER = 1


class RdmReserveStrategy(Enumeration, since=(4, 6)):
    """Which reserved device memory is kept free in the guest."""

    IGNORE = 0
    HOST = 1


class RdmReservePolicy(Enumeration, since=(4, 6)):
    """What happens if reserved device memory cannot be kept free."""

    INVALID = -1
    STRICT = 0
    RELAXED = 1


class RdmReserve(Struct, name="rdm_reserve", since=(4, 6)):
    """What is done about reserved device memory."""

    strategy: RdmReserveStrategy = field(EnumOf(RdmReserveStrategy), default=RdmReserveStrategy.IGNORE)
    policy: RdmReservePolicy = field(EnumOf(RdmReservePolicy), default=RdmReservePolicy.INVALID)


class GicVersion(Enumeration, since=(4, 6)):
    """The interrupt controller (Arm)."""

    DEFAULT = 0
    V2 = 32
    V3 = 48


class VuartType(Enumeration, since=(4, 10)):
    """The virtual UART (Arm)."""

    UNKNOWN = 0
    SBSA_UART = 1


class SveType(Enumeration, since=(4, 18)):
    """The length of SVE vectors, in bits (Arm)."""

    HW = -1
    DISABLED = 0
    _128 = 128
    _256 = 256
    _384 = 384
    _512 = 512
    _640 = 640
    _768 = 768
    _896 = 896
    _1024 = 1024
    _1152 = 1152
    _1280 = 1280
    _1408 = 1408
    _1536 = 1536
    _1664 = 1664
    _1792 = 1792
    _1920 = 1920
    _2048 = 2048


class ArmSciType(Enumeration, since=(4, 21)):
    """The system control interface (Arm)."""

    NONE = 0
    SCMI_SMC = 1


class ArmSci(Struct, name="arm_sci", since=(4, 21)):
    """The system control interface (Arm)."""

    type: ArmSciType = field(EnumOf(ArmSciType), default=ArmSciType.NONE)


class Altp2mMode(Enumeration, since=(4, 9)):
    """Who may use alternate memory maps."""

    DISABLED = 0
    MIXED = 1
    EXTERNAL = 2
    LIMITED = 3


class XsQuotaItem(Struct, name="xs_quota_item", since=(4, 22)):
    """One limit on what a domain may do in Xenstore."""

    name: str | None = field(STRING, default=None)
    val: int = field(UINT32, default=0)


class XsQuotaList(Struct, name="xs_quota_list", since=(4, 22)):
    """Limits on what a domain may do in Xenstore."""

    quota: tuple[XsQuotaItem, ...] = field(ArrayOf(StructOf(XsQuotaItem)), default=())


class DomainBuildInfoHvm(Struct, name="domain_build_info.type.hvm", key=DomainType.HVM):
    """The member `hvm` of DomainBuildInfo."""

    firmware: str | None = field(STRING, default=None)
    bios: BiosType = field(EnumOf(BiosType), default=BiosType.UNKNOWN)
    pae: bool | None = field(DEFBOOL, default=None)
    apic: bool | None = field(DEFBOOL, default=None, deprecated_by="apic")
    acpi: bool | None = field(DEFBOOL, default=None)
    acpi_s3: bool | None = field(DEFBOOL, default=None)
    acpi_s4: bool | None = field(DEFBOOL, default=None)
    acpi_laptop_slate: bool | None = field(DEFBOOL, default=None, since=(4, 9))
    nx: bool | None = field(DEFBOOL, default=None)
    viridian: bool | None = field(DEFBOOL, default=None)
    viridian_enable: frozenset[int] = field(BITMAP, default=frozenset(), since=(4, 5))
    viridian_disable: frozenset[int] = field(BITMAP, default=frozenset(), since=(4, 5))
    timeoffset: str | None = field(STRING, default=None)
    hpet: bool | None = field(DEFBOOL, default=None)
    vpt_align: bool | None = field(DEFBOOL, default=None)
    mmio_hole_memkb: int | None = field(KIB, default=None, since=(4, 5))
    timer_mode: TimerMode = field(EnumOf(TimerMode), default=TimerMode.UNKNOWN, deprecated_by="timer_mode")
    nested_hvm: bool | None = field(DEFBOOL, default=None, deprecated_by="nested_hvm")
    altp2m: bool | None = field(DEFBOOL, default=None, since=(4, 6))
    system_firmware: str | None = field(STRING, default=None, since=(4, 8))
    smbios_firmware: str | None = field(STRING, default=None, since=(4, 3))
    smbios: tuple[Smbios, ...] = field(ArrayOf(StructOf(Smbios)), default=(), since=(4, 18))
    acpi_firmware: str | None = field(STRING, default=None, since=(4, 3))
    hdtype: Hdtype = field(EnumOf(Hdtype), default=Hdtype.IDE, since=(4, 6))
    nographic: bool | None = field(DEFBOOL, default=None)
    vga: VgaInterfaceInfo = field(StructOf(VgaInterfaceInfo), default=VgaInterfaceInfo())
    vnc: VncInfo = field(StructOf(VncInfo), default=VncInfo())
    keymap: str | None = field(STRING, default=None)
    sdl: SdlInfo = field(StructOf(SdlInfo), default=SdlInfo())
    spice: SpiceInfo = field(StructOf(SpiceInfo), default=SpiceInfo())
    gfx_passthru: bool | None = field(DEFBOOL, default=None)
    gfx_passthru_kind: GfxPassthruKind = field(
        EnumOf(GfxPassthruKind), default=GfxPassthruKind.DEFAULT, since=(4, 7)
    )
    serial: str | None = field(STRING, default=None)
    boot: str | None = field(STRING, default=None)
    usb: bool | None = field(DEFBOOL, default=None)
    usbversion: int = field(INT, default=0, since=(4, 4))
    usbdevice: str | None = field(STRING, default=None)
    vkb_device: bool | None = field(DEFBOOL, default=None, since=(4, 13))
    soundhw: str | None = field(STRING, default=None)
    xen_platform_pci: bool | None = field(DEFBOOL, default=None)
    xen_platform_pci_bar_uc: bool | None = field(DEFBOOL, default=None, since=(4, 21))
    usbdevice_list: tuple[str, ...] = field(STRING_LIST, default=(), since=(4, 3))
    vendor_device: VendorDevice = field(EnumOf(VendorDevice), default=VendorDevice.NONE, since=(4, 4))
    ms_vm_genid: bytes | None = field(MS_VM_GENID, default=None, since=(4, 5))
    serial_list: tuple[str, ...] = field(STRING_LIST, default=(), since=(4, 5))
    rdm: RdmReserve = field(StructOf(RdmReserve), default=RdmReserve(), since=(4, 6))
    rdm_mem_boundary_memkb: int | None = field(KIB, default=None, since=(4, 6))
    mca_caps: int = field(UINT64, default=0, since=(4, 10))
    pirq: bool | None = field(DEFBOOL, default=None, since=(4, 19))


class DomainBuildInfoPv(Struct, name="domain_build_info.type.pv", key=DomainType.PV):
    """The member `pv` of DomainBuildInfo."""

    kernel: str | None = field(STRING, default=None, deprecated_by="kernel")
    slack_memkb: int | None = field(KIB, default=None)
    bootloader: str | None = field(STRING, default=None, deprecated_by="bootloader")
    bootloader_args: tuple[str, ...] = field(STRING_LIST, default=(), deprecated_by="bootloader_args")
    cmdline: str | None = field(STRING, default=None, deprecated_by="cmdline")
    ramdisk: str | None = field(STRING, default=None, deprecated_by="ramdisk")
    e820_host: bool | None = field(DEFBOOL, default=None)


class DomainBuildInfoPvh(Struct, name="domain_build_info.type.pvh", since=(4, 10), key=DomainType.PVH):
    """The member `pvh` of DomainBuildInfo."""

    pvshim: bool | None = field(DEFBOOL, default=None, since=(4, 11))
    pvshim_path: str | None = field(STRING, default=None, since=(4, 11))
    pvshim_cmdline: str | None = field(STRING, default=None, since=(4, 11))
    pvshim_extra: str | None = field(STRING, default=None, since=(4, 11))


class DomainBuildInfoInvalid(Struct, name="domain_build_info.type.invalid", key=DomainType.INVALID):
    """The member `invalid` of DomainBuildInfo."""


DomainBuildInfoTypeMember = (
    DomainBuildInfoHvm | DomainBuildInfoPv | DomainBuildInfoPvh | DomainBuildInfoInvalid
)


class DomainBuildInfoArchArm(Struct, name="domain_build_info.arch_arm", since=(4, 6)):
    """The field `arch_arm` of DomainBuildInfo."""

    gic_version: GicVersion = field(EnumOf(GicVersion), default=GicVersion.DEFAULT)
    vuart: VuartType = field(EnumOf(VuartType), default=VuartType.UNKNOWN, since=(4, 10))
    sve_vl: SveType = field(EnumOf(SveType), default=SveType.DISABLED, since=(4, 18))
    nr_spis: int = field(UINT32, default=4294967295, since=(4, 19))
    arm_sci: ArmSci = field(StructOf(ArmSci), default=ArmSci(), since=(4, 21))


class DomainBuildInfoArchX86(Struct, name="domain_build_info.arch_x86", since=(4, 15)):
    """The field `arch_x86` of DomainBuildInfo."""

    msr_relaxed: bool | None = field(DEFBOOL, default=None)


class DomainBuildInfo(Struct, name="domain_build_info"):
    """What a domain is built from."""

    max_vcpus: int = field(INT, default=0)
    avail_vcpus: frozenset[int] = field(BITMAP, default=frozenset())
    cpumap: frozenset[int] = field(BITMAP, default=frozenset())
    nodemap: frozenset[int] = field(BITMAP, default=frozenset(), since=(4, 3))
    vcpu_hard_affinity: tuple[frozenset[int], ...] = field(ArrayOf(BITMAP), default=(), since=(4, 5))
    vcpu_soft_affinity: tuple[frozenset[int], ...] = field(ArrayOf(BITMAP), default=(), since=(4, 5))
    numa_placement: bool | None = field(DEFBOOL, default=None)
    tsc_mode: TscMode = field(EnumOf(TscMode), default=TscMode.DEFAULT)
    max_memkb: int | None = field(KIB, default=None)
    target_memkb: int | None = field(KIB, default=None)
    video_memkb: int | None = field(KIB, default=None)
    shadow_memkb: int | None = field(KIB, default=None)
    iommu_memkb: int | None = field(KIB, default=None, since=(4, 13))
    rtc_timeoffset: int = field(UINT32, default=0)
    exec_ssidref: int = field(UINT32, default=0, since=(4, 3))
    exec_ssid_label: str | None = field(STRING, default=None, since=(4, 5))
    localtime: bool | None = field(DEFBOOL, default=None)
    disable_migrate: bool | None = field(DEFBOOL, default=None)
    cpuid: CpuidPolicies = field(CPUID_POLICY_LIST, default=CpuidPolicies())
    blkdev_start: str | None = field(STRING, default=None)
    vnuma_nodes: tuple[VnodeInfo, ...] = field(ArrayOf(StructOf(VnodeInfo)), default=(), since=(4, 6))
    max_grant_frames: int = field(UINT32, default=4294967295, since=(4, 10))
    max_maptrack_frames: int = field(UINT32, default=4294967295, since=(4, 10))
    max_grant_version: int = field(INT, default=-1, since=(4, 16))
    device_model_version: DeviceModelVersion = field(
        EnumOf(DeviceModelVersion), default=DeviceModelVersion.UNKNOWN
    )
    device_model_stubdomain: bool | None = field(DEFBOOL, default=None)
    stubdomain_memkb: int | None = field(KIB, default=None, since=(4, 14))
    stubdomain_kernel: str | None = field(STRING, default=None, since=(4, 14))
    stubdomain_cmdline: str | None = field(STRING, default=None, since=(4, 16))
    stubdomain_ramdisk: str | None = field(STRING, default=None, since=(4, 14))
    device_model: str | None = field(STRING, default=None)
    device_model_ssidref: int = field(UINT32, default=0)
    device_model_ssid_label: str | None = field(STRING, default=None, since=(4, 5))
    device_model_user: str | None = field(STRING, default=None, since=(4, 7))
    extra: tuple[str, ...] = field(STRING_LIST, default=())
    extra_pv: tuple[str, ...] = field(STRING_LIST, default=())
    extra_hvm: tuple[str, ...] = field(STRING_LIST, default=())
    sched_params: DomainSchedParams = field(StructOf(DomainSchedParams), default=DomainSchedParams())
    ioports: tuple[IoportRange, ...] = field(ArrayOf(StructOf(IoportRange)), default=())
    irqs: tuple[int, ...] = field(ArrayOf(UINT32), default=())
    iomem: tuple[IomemRange, ...] = field(ArrayOf(StructOf(IomemRange)), default=(), since=(4, 3))
    llc_colors: tuple[int, ...] = field(ArrayOf(UINT32), default=(), since=(4, 20))
    claim_mode: bool | None = field(DEFBOOL, default=None, since=(4, 3))
    event_channels: int = field(UINT32, default=0, since=(4, 4))
    kernel: str | None = field(STRING, default=None, since=(4, 5))
    cmdline: str | None = field(STRING, default=None, since=(4, 5))
    ramdisk: str | None = field(STRING, default=None, since=(4, 5))
    device_tree: str | None = field(STRING, default=None, since=(4, 6))
    acpi: bool | None = field(DEFBOOL, default=None, since=(4, 8))
    bootloader: str | None = field(STRING, default=None, since=(4, 10))
    bootloader_args: tuple[str, ...] = field(STRING_LIST, default=(), since=(4, 10))
    bootloader_restrict: bool | None = field(DEFBOOL, default=None, since=(4, 18))
    bootloader_user: str | None = field(STRING, default=None, since=(4, 18))
    timer_mode: TimerMode = field(EnumOf(TimerMode), default=TimerMode.UNKNOWN, since=(4, 10))
    nested_hvm: bool | None = field(DEFBOOL, default=None, since=(4, 10))
    apic: bool | None = field(DEFBOOL, default=None, since=(4, 10))
    dm_restrict: bool | None = field(DEFBOOL, default=None, since=(4, 10))
    tee: TeeType = field(EnumOf(TeeType), default=TeeType.NONE, since=(4, 13))
    type: DomainBuildInfoTypeMember = field(
        UnionOf(DomainBuildInfoTypeMember), default=DomainBuildInfoInvalid()
    )
    arch_arm: DomainBuildInfoArchArm = field(
        StructOf(DomainBuildInfoArchArm), default=DomainBuildInfoArchArm(), since=(4, 6)
    )
    arch_x86: DomainBuildInfoArchX86 = field(
        StructOf(DomainBuildInfoArchX86), default=DomainBuildInfoArchX86(), since=(4, 15)
    )
    altp2m: Altp2mMode = field(EnumOf(Altp2mMode), default=Altp2mMode.DISABLED, since=(4, 9))
    altp2m_count: int = field(UINT32, default=4294967295, since=(4, 21))
    vmtrace_buf_kb: int = field(INT, default=0, since=(4, 15))
    vpmu: bool | None = field(DEFBOOL, default=None, since=(4, 16))
    trap_unmapped_accesses: bool | None = field(DEFBOOL, default=None, since=(4, 21))
    xenstore_feature_mask: int = field(UINT32, default=4294967295, since=(4, 21))
    xenstore_quota: XsQuotaList = field(StructOf(XsQuotaList), default=XsQuotaList(), since=(4, 22))


class DiskBackend(Enumeration, later={"STANDALONE": (4, 17)}):
    """What serves a disk."""

    UNKNOWN = 0
    PHY = 1
    TAP = 2
    QDISK = 3
    STANDALONE = 4


class DiskFormat(Enumeration, later={"QED": (4, 9)}):
    """The format of a disk image."""

    UNKNOWN = 0
    QCOW = 1
    QCOW2 = 2
    VHD = 3
    RAW = 4
    EMPTY = 5
    QED = 6


class DiskSpecification(Enumeration, since=(4, 17)):
    """The protocol between a disk and the guest."""

    UNKNOWN = 0
    XEN = 1
    VIRTIO = 2


class DiskTransport(Enumeration, since=(4, 17)):
    """How a virtio disk is attached."""

    UNKNOWN = 0
    MMIO = 1


class DeviceDisk(Struct, name="device_disk"):
    """A disk."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None, since=(4, 3))
    pdev_path: str | None = field(STRING, default=None)
    vdev: str | None = field(STRING, default=None)
    backend: DiskBackend = field(EnumOf(DiskBackend), default=DiskBackend.UNKNOWN)
    format: DiskFormat = field(EnumOf(DiskFormat), default=DiskFormat.UNKNOWN)
    script: str | None = field(STRING, default=None)
    removable: int = field(INT, default=0)
    readwrite: int = field(INT, default=0)
    is_cdrom: int = field(INT, default=0)
    direct_io_safe: bool = field(BOOL, default=False, since=(4, 5))
    discard_enable: bool | None = field(DEFBOOL, default=None, since=(4, 5))
    specification: DiskSpecification = field(
        EnumOf(DiskSpecification), default=DiskSpecification.UNKNOWN, since=(4, 17)
    )
    transport: DiskTransport = field(EnumOf(DiskTransport), default=DiskTransport.UNKNOWN, since=(4, 17))
    irq: int = field(UINT32, default=0, since=(4, 17))
    base: int = field(UINT64, default=0, since=(4, 17))
    colo_enable: bool | None = field(DEFBOOL, default=None, since=(4, 7))
    colo_restore_enable: bool | None = field(DEFBOOL, default=None, since=(4, 7))
    colo_host: str | None = field(STRING, default=None, since=(4, 7))
    colo_port: int = field(INT, default=0, since=(4, 7))
    colo_export: str | None = field(STRING, default=None, since=(4, 7))
    active_disk: str | None = field(STRING, default=None, since=(4, 7))
    hidden_disk: str | None = field(STRING, default=None, since=(4, 7))
    trusted: bool | None = field(DEFBOOL, default=None, since=(4, 17))
    grant_usage: bool | None = field(DEFBOOL, default=None, since=(4, 19))


class NicType(Enumeration, later={"UNKNOWN": (4, 4)}):
    """What a guest sees of a network card."""

    UNKNOWN = 0
    VIF_IOEMU = 1
    VIF = 2


class DeviceNic(Struct, name="device_nic"):
    """A network card; the colo_ fields belong to COLO replication."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None, since=(4, 3))
    devid: int = field(DEVID, default=-1)
    mtu: int = field(INT, default=0)
    vlan: str | None = field(STRING, default=None, since=(4, 19))
    model: str | None = field(STRING, default=None)
    mac: str | None = field(MAC, default=None)
    ip: str | None = field(STRING, default=None)
    bridge: str | None = field(STRING, default=None)
    ifname: str | None = field(STRING, default=None)
    script: str | None = field(STRING, default=None)
    nictype: NicType = field(EnumOf(NicType), default=NicType.UNKNOWN)
    rate_bytes_per_interval: int = field(UINT64, default=0)
    rate_interval_usecs: int = field(UINT32, default=0)
    gatewaydev: str | None = field(STRING, default=None, since=(4, 3))
    coloft_forwarddev: str | None = field(STRING, default=None, since=(4, 7))
    colo_sock_mirror_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_mirror_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_mirror_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_pri_in_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_pri_in_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_pri_in_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_sec_in_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_sec_in_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_sec_in_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_notify_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_notify_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_compare_notify_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector0_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector0_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector0_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector1_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector1_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector1_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector2_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector2_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_redirector2_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_mirror_queue: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_mirror_outdev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_redirector0_queue: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_redirector0_indev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_redirector0_outdev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_redirector1_queue: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_redirector1_indev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_redirector1_outdev: str | None = field(STRING, default=None, since=(4, 9))
    colo_compare_pri_in: str | None = field(STRING, default=None, since=(4, 9))
    colo_compare_sec_in: str | None = field(STRING, default=None, since=(4, 9))
    colo_compare_out: str | None = field(STRING, default=None, since=(4, 9))
    colo_compare_notify_dev: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_sec_redirector0_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_sec_redirector0_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_sec_redirector0_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_sec_redirector1_id: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_sec_redirector1_ip: str | None = field(STRING, default=None, since=(4, 9))
    colo_sock_sec_redirector1_port: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_redirector0_queue: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_redirector0_indev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_redirector0_outdev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_redirector1_queue: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_redirector1_indev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_redirector1_outdev: str | None = field(STRING, default=None, since=(4, 9))
    colo_filter_sec_rewriter0_queue: str | None = field(STRING, default=None, since=(4, 9))
    colo_checkpoint_host: str | None = field(STRING, default=None, since=(4, 9))
    colo_checkpoint_port: str | None = field(STRING, default=None, since=(4, 9))
    trusted: bool | None = field(DEFBOOL, default=None, since=(4, 17))


class DevicePci(Struct, name="device_pci"):
    """A PCI device of the host."""

    func: int = field(UINT8, default=0)
    dev: int = field(UINT8, default=0)
    bus: int = field(UINT8, default=0)
    domain: int = field(INT, default=0)
    vdevfn: int = field(UINT32, default=0)
    vfunc_mask: int = field(UINT32, default=0)
    msitranslate: bool = field(BOOL, default=False)
    power_mgmt: bool = field(BOOL, default=False)
    permissive: bool = field(BOOL, default=False)
    seize: bool = field(BOOL, default=False, since=(4, 5))
    rdm_policy: RdmReservePolicy = field(
        EnumOf(RdmReservePolicy), default=RdmReservePolicy.INVALID, since=(4, 6)
    )
    name: str | None = field(STRING, default=None, since=(4, 15))


class DeviceRdm(Struct, name="device_rdm", since=(4, 6)):
    """A region of reserved device memory, in bytes."""

    start: int = field(UINT64, default=0)
    size: int = field(UINT64, default=0)
    policy: RdmReservePolicy = field(EnumOf(RdmReservePolicy), default=RdmReservePolicy.INVALID)


class DeviceDtdev(Struct, name="device_dtdev", since=(4, 6)):
    """A device of the host, by its path in the device tree (Arm)."""

    path: str | None = field(STRING, default=None)


class DeviceVfb(Struct, name="device_vfb"):
    """A virtual frame buffer."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None, since=(4, 3))
    devid: int = field(DEVID, default=-1)
    vnc: VncInfo = field(StructOf(VncInfo), default=VncInfo())
    sdl: SdlInfo = field(StructOf(SdlInfo), default=SdlInfo())
    keymap: str | None = field(STRING, default=None)


class VkbBackend(Enumeration, since=(4, 12)):
    """What serves a virtual keyboard."""

    UNKNOWN = 0
    QEMU = 1
    LINUX = 2


class DeviceVkb(Struct, name="device_vkb"):
    """A virtual keyboard, pointer and touch screen."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None, since=(4, 3))
    devid: int = field(DEVID, default=-1)
    backend_type: VkbBackend = field(EnumOf(VkbBackend), default=VkbBackend.UNKNOWN, since=(4, 12))
    unique_id: str | None = field(STRING, default=None, since=(4, 12))
    feature_disable_keyboard: bool = field(BOOL, default=False, since=(4, 12))
    feature_disable_pointer: bool = field(BOOL, default=False, since=(4, 12))
    feature_abs_pointer: bool = field(BOOL, default=False, since=(4, 12))
    feature_raw_pointer: bool = field(BOOL, default=False, since=(4, 12))
    feature_multi_touch: bool = field(BOOL, default=False, since=(4, 12))
    width: int = field(UINT32, default=0, since=(4, 12))
    height: int = field(UINT32, default=0, since=(4, 12))
    multi_touch_width: int = field(UINT32, default=0, since=(4, 12))
    multi_touch_height: int = field(UINT32, default=0, since=(4, 12))
    multi_touch_num_contacts: int = field(UINT32, default=0, since=(4, 12))


class VirtioTransport(Enumeration, since=(4, 18)):
    """How a virtio device is attached."""

    UNKNOWN = 0
    MMIO = 1


class DeviceVirtio(Struct, name="device_virtio", since=(4, 18)):
    """A virtio device with its own backend."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    type: str | None = field(STRING, default=None)
    transport: VirtioTransport = field(EnumOf(VirtioTransport), default=VirtioTransport.UNKNOWN)
    grant_usage: bool | None = field(DEFBOOL, default=None)
    devid: int = field(DEVID, default=-1)
    irq: int = field(UINT32, default=0)
    base: int = field(UINT64, default=0)


class DeviceVtpm(Struct, name="device_vtpm", since=(4, 3)):
    """A virtual TPM."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    devid: int = field(DEVID, default=-1)
    uuid: uuid.UUID | None = field(UUID, default=None)


class P9Type(Enumeration, since=(4, 19)):
    """What serves a shared folder."""

    UNKNOWN = 0
    QEMU = 1
    XEN_9PFSD = 2


class DeviceP9(Struct, name="device_p9", since=(4, 9)):
    """A folder of the backend domain, shared over 9P."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    tag: str | None = field(STRING, default=None)
    path: str | None = field(STRING, default=None)
    security_model: str | None = field(STRING, default=None)
    devid: int = field(DEVID, default=-1)
    type: P9Type = field(EnumOf(P9Type), default=P9Type.UNKNOWN, since=(4, 19))
    max_space: int = field(INT, default=0, since=(4, 19))
    max_files: int = field(INT, default=0, since=(4, 19))
    max_open_files: int = field(INT, default=0, since=(4, 19))
    auto_delete: bool = field(BOOL, default=False, since=(4, 19))


class DevicePvcallsif(Struct, name="device_pvcallsif", since=(4, 11)):
    """The backend domain's sockets, for the guest to use."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    devid: int = field(DEVID, default=-1)


class ConnectorParam(Struct, name="connector_param", since=(4, 10)):
    """A screen of a virtual display, in pixels."""

    unique_id: str | None = field(STRING, default=None, since=(4, 12))
    width: int = field(UINT32, default=0)
    height: int = field(UINT32, default=0)


class DeviceVdispl(Struct, name="device_vdispl", since=(4, 10)):
    """A virtual display."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    devid: int = field(DEVID, default=-1)
    be_alloc: bool = field(BOOL, default=False)
    connectors: tuple[ConnectorParam, ...] = field(ArrayOf(StructOf(ConnectorParam)), default=())


class VsndPcmFormat(Enumeration, since=(4, 12)):
    """The format of a sound sample."""

    S8 = 1
    U8 = 2
    S16_LE = 3
    S16_BE = 4
    U16_LE = 5
    U16_BE = 6
    S24_LE = 7
    S24_BE = 8
    U24_LE = 9
    U24_BE = 10
    S32_LE = 11
    S32_BE = 12
    U32_LE = 13
    U32_BE = 14
    F32_LE = 15
    F32_BE = 16
    F64_LE = 17
    F64_BE = 18
    IEC958_SUBFRAME_LE = 19
    IEC958_SUBFRAME_BE = 20
    MU_LAW = 21
    A_LAW = 22
    IMA_ADPCM = 23
    MPEG = 24
    GSM = 25


class VsndParams(Struct, name="vsnd_params", since=(4, 12)):
    """What a sound stream can do; inner ones narrow outer ones. The size of its buffer is in bytes."""

    sample_rates: tuple[int, ...] = field(ArrayOf(UINT32), default=())
    sample_formats: tuple[VsndPcmFormat | None, ...] = field(ArrayOf(EnumOf(VsndPcmFormat)), default=())
    channels_min: int = field(UINT32, default=0)
    channels_max: int = field(UINT32, default=0)
    buffer_size: int = field(UINT32, default=0)


class VsndStreamType(Enumeration, since=(4, 12)):
    """The direction of a sound stream: playback or capture."""

    P = 1
    C = 2


class VsndStream(Struct, name="vsnd_stream", since=(4, 12)):
    """A stream of a PCM device."""

    unique_id: str | None = field(STRING, default=None)
    type: VsndStreamType | None = field(EnumOf(VsndStreamType), default=None)
    params: VsndParams = field(StructOf(VsndParams), default=VsndParams())


class VsndPcm(Struct, name="vsnd_pcm", since=(4, 12)):
    """A PCM device of a virtual sound card."""

    name: str | None = field(STRING, default=None)
    params: VsndParams = field(StructOf(VsndParams), default=VsndParams())
    streams: tuple[VsndStream, ...] = field(ArrayOf(StructOf(VsndStream)), default=())


class DeviceVsnd(Struct, name="device_vsnd", since=(4, 12)):
    """A virtual sound card."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    devid: int = field(DEVID, default=-1)
    short_name: str | None = field(STRING, default=None)
    long_name: str | None = field(STRING, default=None)
    params: VsndParams = field(StructOf(VsndParams), default=VsndParams())
    pcms: tuple[VsndPcm, ...] = field(ArrayOf(StructOf(VsndPcm)), default=())


class ChannelConnection(Enumeration, since=(4, 5), later={"NONE": EXTENSION, "PATH": EXTENSION}):
    """What a channel's host end is connected to."""

    UNKNOWN = 0
    PTY = 1
    SOCKET = 2
    NONE = 1001
    PATH = 1002


class DeviceChannelUnknown(
    Struct, name="device_channel.connection.unknown", since=(4, 5), key=ChannelConnection.UNKNOWN
):
    """The member `unknown` of DeviceChannel."""


class DeviceChannelPty(Struct, name="device_channel.connection.pty", since=(4, 5), key=ChannelConnection.PTY):
    """The member `pty` of DeviceChannel."""


class DeviceChannelSocket(
    Struct, name="device_channel.connection.socket", since=(4, 5), key=ChannelConnection.SOCKET
):
    """The member `socket` of DeviceChannel."""

    path: str | None = field(STRING, default=None)


class DeviceChannelNone(
    Struct, name="device_channel.connection.none", since=EXTENSION, key=ChannelConnection.NONE
):
    """The member `none` of DeviceChannel."""


class DeviceChannelPath(
    Struct, name="device_channel.connection.path", since=EXTENSION, key=ChannelConnection.PATH
):
    """The member `path` of DeviceChannel."""

    path: str | None = field(STRING, default=None)


DeviceChannelConnectionMember = (
    DeviceChannelUnknown | DeviceChannelPty | DeviceChannelSocket | DeviceChannelNone | DeviceChannelPath
)


class DeviceChannel(Struct, name="device_channel", since=(4, 5)):
    """A channel: a wire between a guest and its backend domain, found by its name."""

    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)
    devid: int = field(DEVID, default=-1)
    name: str | None = field(STRING, default=None)
    connection: DeviceChannelConnectionMember = field(
        UnionOf(DeviceChannelConnectionMember), default=DeviceChannelUnknown()
    )


class UsbctrlType(Enumeration, since=(4, 7)):
    """The kind of a USB controller."""

    AUTO = 0
    PV = 1
    DEVICEMODEL = 2
    QUSB = 3


class DeviceUsbctrl(Struct, name="device_usbctrl", since=(4, 7)):
    """A virtual USB controller."""

    type: UsbctrlType = field(EnumOf(UsbctrlType), default=UsbctrlType.AUTO)
    devid: int = field(DEVID, default=-1)
    version: int = field(INT, default=0)
    ports: int = field(INT, default=0)
    backend_domid: int = field(DOMID, default=0)
    backend_domname: str | None = field(STRING, default=None)


class UsbdevType(Enumeration, since=(4, 7)):
    """Where a USB device comes from."""

    HOSTDEV = 1


class DeviceUsbdevHostdev(Struct, name="device_usbdev.type.hostdev", since=(4, 7), key=UsbdevType.HOSTDEV):
    """The member `hostdev` of DeviceUsbdev."""

    hostbus: int = field(UINT8, default=0)
    hostaddr: int = field(UINT8, default=0)


DeviceUsbdevTypeMember = DeviceUsbdevHostdev


class DeviceUsbdev(Struct, name="device_usbdev", since=(4, 7)):
    """A USB device on a virtual controller."""

    ctrl: int = field(DEVID, default=-1)
    port: int = field(INT, default=0)
    type: DeviceUsbdevTypeMember | None = field(UnionOf(DeviceUsbdevTypeMember), default=None)


class ActionOnShutdown(Enumeration, later={"SOFT_RESET": (4, 7)}):
    """What happens to a domain when it ends."""

    DESTROY = 1
    RESTART = 2
    RESTART_RENAME = 3
    PRESERVE = 4
    COREDUMP_DESTROY = 5
    COREDUMP_RESTART = 6
    SOFT_RESET = 7


class DomainConfig(Struct, name="domain_config", since=(4, 3)):
    """All about a domain: what it is, what it is built from, its devices, and what happens at its end."""

    c_info: DomainCreateInfo = field(StructOf(DomainCreateInfo), default=DomainCreateInfo())
    b_info: DomainBuildInfo = field(StructOf(DomainBuildInfo), default=DomainBuildInfo())
    disks: tuple[DeviceDisk, ...] = field(ArrayOf(StructOf(DeviceDisk)), default=())
    nics: tuple[DeviceNic, ...] = field(ArrayOf(StructOf(DeviceNic)), default=())
    pcidevs: tuple[DevicePci, ...] = field(ArrayOf(StructOf(DevicePci)), default=())
    rdms: tuple[DeviceRdm, ...] = field(ArrayOf(StructOf(DeviceRdm)), default=(), since=(4, 6))
    dtdevs: tuple[DeviceDtdev, ...] = field(ArrayOf(StructOf(DeviceDtdev)), default=(), since=(4, 6))
    vfbs: tuple[DeviceVfb, ...] = field(ArrayOf(StructOf(DeviceVfb)), default=())
    vkbs: tuple[DeviceVkb, ...] = field(ArrayOf(StructOf(DeviceVkb)), default=())
    virtios: tuple[DeviceVirtio, ...] = field(ArrayOf(StructOf(DeviceVirtio)), default=(), since=(4, 18))
    vtpms: tuple[DeviceVtpm, ...] = field(ArrayOf(StructOf(DeviceVtpm)), default=())
    p9s: tuple[DeviceP9, ...] = field(ArrayOf(StructOf(DeviceP9)), default=(), since=(4, 10))
    pvcallsifs: tuple[DevicePvcallsif, ...] = field(
        ArrayOf(StructOf(DevicePvcallsif)), default=(), since=(4, 11)
    )
    vdispls: tuple[DeviceVdispl, ...] = field(ArrayOf(StructOf(DeviceVdispl)), default=(), since=(4, 10))
    vsnds: tuple[DeviceVsnd, ...] = field(ArrayOf(StructOf(DeviceVsnd)), default=(), since=(4, 12))
    channels: tuple[DeviceChannel, ...] = field(ArrayOf(StructOf(DeviceChannel)), default=(), since=(4, 5))
    usbctrls: tuple[DeviceUsbctrl, ...] = field(ArrayOf(StructOf(DeviceUsbctrl)), default=(), since=(4, 7))
    usbdevs: tuple[DeviceUsbdev, ...] = field(ArrayOf(StructOf(DeviceUsbdev)), default=(), since=(4, 7))
    on_poweroff: ActionOnShutdown = field(EnumOf(ActionOnShutdown), default=ActionOnShutdown.DESTROY)
    on_reboot: ActionOnShutdown = field(EnumOf(ActionOnShutdown), default=ActionOnShutdown.DESTROY)
    on_watchdog: ActionOnShutdown = field(EnumOf(ActionOnShutdown), default=ActionOnShutdown.DESTROY)
    on_crash: ActionOnShutdown = field(EnumOf(ActionOnShutdown), default=ActionOnShutdown.DESTROY)
    on_soft_reset: ActionOnShutdown = field(
        EnumOf(ActionOnShutdown), default=ActionOnShutdown.DESTROY, since=(4, 7)
    )


class ViridianEnlightenment(
    Enumeration,
    since=(4, 5),
    later={
        "REFERENCE_TSC": (4, 6),
        "HCALL_REMOTE_TLB_FLUSH": (4, 7),
        "APIC_ASSIST": (4, 7),
        "CRASH_CTL": (4, 9),
        "SYNIC": (4, 13),
        "STIMER": (4, 13),
        "HCALL_IPI": (4, 13),
        "EX_PROCESSOR_MASKS": (4, 15),
        "NO_VP_LIMIT": (4, 15),
        "CPU_HOTPLUG": (4, 15),
    },
):
    """Microsoft's interfaces for guests; the numbers are bits of type.hvm's viridian_enable."""

    BASE = 0
    FREQ = 1
    TIME_REF_COUNT = 2
    REFERENCE_TSC = 3
    HCALL_REMOTE_TLB_FLUSH = 4
    APIC_ASSIST = 5
    CRASH_CTL = 6
    SYNIC = 7
    STIMER = 8
    HCALL_IPI = 9
    EX_PROCESSOR_MASKS = 10
    NO_VP_LIMIT = 11
    CPU_HOTPLUG = 12
