"""xl.cfg from typed values: what is written means the same again, and what gets lost is told."""

import uuid
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xenwire.config import ConfigError, HostFacts, parse_config
from xenwire.config.libxl import types as xl
from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidMsr, CpuidPolicies
from xenwire.config.libxl.json_reader import read_listing
from xenwire.config.libxl.version import XenVersion
from xenwire.config.render import losses, render
from xenwire.config.render.rate import rate

GOLDEN = Path(__file__).parent.parent / "data" / "xlcfg"
FACTS = HostFacts(random=lambda count: bytes(range(1, count + 1)))


def again(config, facts=FACTS):
    return parse_config(render(config, facts), "again.cfg", facts).config


def readable(file):
    try:
        parse_config(file.read_bytes(), file.name, FACTS)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("version", [XenVersion(4, 17, 5), XenVersion(4, 18, 0), XenVersion(4, 20)])
def test_all_golden_files(version):
    facts = HostFacts(version=version, random=FACTS.random)
    read = 0
    for file in sorted(GOLDEN.glob("*.cfg")):
        try:
            config = parse_config(file.read_bytes(), file.name, facts).config
        except ConfigError:
            continue
        assert again(config, facts) == config, file.name
        read += 1
    assert read > 80


# What xl.cfg can say.

bits = st.none() | st.booleans()
text = st.binary(max_size=12).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
texts = st.none() | text
lists = st.lists(text, max_size=3).map(tuple)
int32 = st.integers(-(2**31), 2**31 - 1)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
mebibytes = st.none() | st.integers(0, 2**53).map(lambda size: size * 1024)
limits = st.integers(0, 2**31 - 1)


def without(stops, least=0):
    """Give text that lacks some characters."""
    table = {ord(stop): None for stop in stops}
    return text.map(lambda value: value.translate(table)).filter(lambda value: len(value) >= least)


piece = without(",")
pieces = st.none() | piece


def words(enumeration, version=(4, 17)):
    return st.sampled_from([word for word in enumeration if word.since <= version and word.name != "INVALID"])


def struct(cls, **fields):
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: cls(**given))


def numbered(devices):
    """Number devices by their places, as xl does."""
    return [device.replace(devid=devid) for devid, device in enumerate(devices)]


vncs = struct(
    xl.VncInfo, enable=bits, listen=without(",:"), passwd=piece, display=int32, findunused=bits
)
sdls = struct(xl.SdlInfo, enable=bits, opengl=bits, display=piece, xauthority=piece)
hvms = struct(
    xl.DomainBuildInfoHvm,
    **{
        name: bits
        for name in "pae acpi_s3 acpi_s4 acpi_laptop_slate nx hpet vpt_align altp2m nographic gfx_passthru usb "
        "vkb_device xen_platform_pci viridian".split()
    },
    **{
        name: texts
        for name in "firmware system_firmware smbios_firmware acpi_firmware keymap boot soundhw serial".split()
    },
    bios=words(xl.BiosType),
    mmio_hole_memkb=st.integers(256, 3840).map(lambda size: size * 1024),
    hdtype=words(xl.Hdtype),
    vga=words(xl.VgaInterfaceType)
    .filter(bool)
    .map(lambda kind: xl.VgaInterfaceInfo(kind=kind)),
    vnc=vncs,
    sdl=sdls,
    spice=struct(
        xl.SpiceInfo,
        **dict.fromkeys(["enable", "disable_ticketing", "agent_mouse", "vdagent", "clipboard_sharing"], bits),
        **dict.fromkeys(["port", "tls_port", "usbredirection"], int32),
        **dict.fromkeys(["host", "passwd", "image_compression", "streaming_video"], texts),
    ),
    usbversion=int32,
    usbdevice_list=lists,
    vendor_device=words(xl.VendorDevice),
    ms_vm_genid=st.just(FACTS.random(16)),
    rdm=st.just(xl.RdmReserve(strategy=xl.RdmReserveStrategy.HOST)),
    rdm_mem_boundary_memkb=mebibytes,
    mca_caps=st.just(1),
)


@st.composite
def guests(draw, kind):
    if kind is xl.DomainType.PV:
        return draw(struct(xl.DomainBuildInfoPv, e820_host=bits))
    if kind is xl.DomainType.PVH:
        names = ("pvshim_path", "pvshim_cmdline", "pvshim_extra")
        return draw(struct(xl.DomainBuildInfoPvh, pvshim=bits, **dict.fromkeys(names, texts)))
    guest = draw(hvms)
    if draw(st.booleans()):
        named = set(xl.ViridianEnlightenment)
        off = draw(st.frozensets(st.sampled_from(sorted(named))))
        on = draw(st.sampled_from([frozenset(range(64)) - off, frozenset(named) - off, frozenset()]))
        wanted = True if guest.viridian and (on or off) else None
        guest = guest.replace(viridian=wanted, viridian_enable=on, viridian_disable=off)
    if guest.gfx_passthru and draw(st.booleans()):
        guest = guest.replace(gfx_passthru_kind=xl.GfxPassthruKind.IGD)
    return guest


backends = {"backend_domname": pieces}
disks = struct(
    xl.DeviceDisk,
    **backends,
    backend=words(xl.DiskBackend),
    format=words(xl.DiskFormat).filter(bool),
    script=pieces,
    direct_io_safe=st.booleans(),
    discard_enable=bits,
    specification=words(xl.DiskSpecification),
    colo_enable=bits,
    colo_host=pieces,
    colo_port=int32,
    colo_export=pieces,
    active_disk=pieces,
    hidden_disk=pieces,
)


@st.composite
def whole_disks(draw):
    disk = draw(disks)
    cdrom = draw(st.booleans())
    path = draw(without("\n", least=1).filter(lambda path: not path.endswith(",")))
    if disk.format is xl.DiskFormat.UNKNOWN:
        disk = disk.replace(format=xl.DiskFormat.RAW)
    if cdrom and draw(st.booleans()):
        path, disk = draw(st.sampled_from([None, ""])), disk.replace(format=xl.DiskFormat.EMPTY)
    return disk.replace(
        pdev_path=path,
        vdev=draw(without(",", least=1)),
        is_cdrom=int(cdrom),
        removable=int(cdrom),
        readwrite=0 if cdrom else draw(st.integers(0, 1)),
    )


macs = st.binary(min_size=6, max_size=6).map(lambda mac: ":".join(f"{byte:02x}" for byte in mac))
rates = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 10**6))
nics = struct(
    xl.DeviceNic,
    **backends,
    mtu=int32,
    mac=macs,
    nictype=words(xl.NicType),
    trusted=bits,
    **{
        name: pieces
        for name, field in xl.DeviceNic.FIELDS.items()
        if field.default is None and name not in {"backend_domname", "mac", "trusted", "vlan"}
    },
)


@st.composite
def whole_nics(draw):
    nic = draw(nics)
    limit = draw(st.none() | rates)
    if limit is None:
        return nic
    return nic.replace(rate_bytes_per_interval=limit[0], rate_interval_usecs=limit[1])


channels = st.builds(
    xl.DeviceChannel,
    name=without(",=").map(str.strip).filter(lambda name: name.strip("\x1c\x1d\x1e\x1f\x85\xa0\u2028")),
    connection=st.sampled_from(
        [xl.DeviceChannelPty(), xl.DeviceChannelNone(), xl.DeviceChannelSocket(path="/s"), xl.DeviceChannelPath(path="p q")]
    ),
)


@st.composite
def pcis(draw, kind):
    policies = [xl.RdmReservePolicy.STRICT, xl.RdmReservePolicy.RELAXED]
    if kind is xl.DomainType.HVM:
        policies.append(xl.RdmReservePolicy.INVALID)
    switches = {name: draw(st.booleans()) for name in ("msitranslate", "power_mgmt", "permissive", "seize")}
    common = {"rdm_policy": draw(st.sampled_from(policies)), "vdevfn": draw(st.integers(0, 31)) << 3, **switches}
    name = draw(st.none() | piece)
    if name is not None:
        return xl.DevicePci(name=name, **common)
    every = draw(st.booleans())
    return xl.DevicePci(
        domain=draw(st.integers(0, 0xFFFF)),
        bus=draw(st.integers(0, 0xFF)),
        dev=draw(st.integers(0, 0x1F)),
        func=0 if every else draw(st.integers(0, 7)),
        vfunc_mask=2**32 - 1 if every else 1,
        **common,
    )


params = struct(
    xl.VsndParams,
    sample_rates=st.lists(uint32, max_size=2).map(tuple),
    sample_formats=st.lists(words(xl.VsndPcmFormat), max_size=2).map(tuple),
    channels_min=uint32,
    channels_max=uint32,
    buffer_size=uint32,
)
streams = struct(xl.VsndStream, unique_id=pieces, type=words(xl.VsndStreamType), params=params)
pcms = struct(xl.VsndPcm, name=pieces, params=params, streams=st.lists(streams, max_size=2).map(tuple))
vsnds = struct(
    xl.DeviceVsnd,
    **backends,
    short_name=pieces,
    long_name=pieces,
    params=params,
    pcms=st.lists(pcms, max_size=2).map(tuple),
)
connectors = st.builds(
    xl.ConnectorParam, unique_id=without(",;:", least=1), width=uint32, height=uint32
)
vdispls = st.builds(
    xl.DeviceVdispl,
    **backends,
    be_alloc=st.booleans(),
    connectors=st.lists(connectors, min_size=1, max_size=2).map(tuple),
)
vkbs = st.builds(
    xl.DeviceVkb,
    **backends,
    backend_type=st.sampled_from([xl.VkbBackend.QEMU, xl.VkbBackend.LINUX]),
    unique_id=pieces,
    feature_disable_keyboard=st.booleans(),
    feature_raw_pointer=st.booleans(),
    width=uint32,
    multi_touch_width=st.integers(0, 3),
).map(lambda vkb: vkb.replace(feature_multi_touch=vkb.multi_touch_width > 0))
vfbs = struct(xl.DeviceVfb, vnc=vncs, sdl=sdls, keymap=pieces)
usbdevs = struct(
    xl.DeviceUsbdev,
    ctrl=int32,
    port=int32,
    type=st.builds(
        xl.DeviceUsbdevHostdev, hostbus=st.integers(0, 255), hostaddr=st.integers(0, 255)
    ),
)
usbctrls = struct(xl.DeviceUsbctrl, type=words(xl.UsbctrlType), version=int32, ports=int32)
p9s = st.builds(xl.DeviceP9, tag=piece, path=piece, security_model=piece)
vtpms = st.builds(xl.DeviceVtpm, backend_domname=piece, uuid=st.none() | st.uuids())


def several(devices):
    return st.lists(devices, max_size=2)


cpus = st.frozensets(st.integers(0, 7), min_size=1)
registers = st.none() | st.text("01xks", min_size=32, max_size=32)
leaves = st.builds(
    CpuidLeaf,
    leaf=st.integers(0, 2**32 - 2),
    subleaf=st.none() | st.integers(0, 2**32 - 2),
    eax=registers,
    ebx=registers,
    ecx=registers,
    edx=registers,
)


@st.composite
def processors(draw):
    """Give processors and memory: fields that hang together."""
    count = draw(st.integers(1, 5))
    fields = {"max_vcpus": count, "avail_vcpus": range(draw(st.integers(1, count)))}
    hard, soft = draw(st.sampled_from(["", "text", "list"])), draw(st.sampled_from(["", "text", "list"]))
    for kind, name in ((hard, "vcpu_hard_affinity"), (soft, "vcpu_soft_affinity")):
        if kind == "text":
            fields[name] = [draw(cpus)] * count
        elif kind == "list":
            fields[name] = draw(st.lists(cpus, min_size=1, max_size=count))
    if hard == "list" or soft:
        fields["numa_placement"] = False
    target, most = draw(mebibytes), draw(mebibytes)
    if target is not None and most is None:
        most = target
    fields |= {"target_memkb": target, "max_memkb": most}
    if draw(st.booleans()):
        split = draw(st.integers(0, count))
        sizes = draw(st.lists(st.integers(1, 2**20), min_size=2, max_size=2))
        fields["max_memkb"] = sum(sizes) * 1024
        fields.setdefault("numa_placement", draw(st.sampled_from([None, False])))
        fields["vnuma_nodes"] = [
            xl.VnodeInfo(memkb=size * 1024, vcpus=vcpus, distances=draw(st.tuples(uint32, uint32)))
            for size, vcpus in zip(sizes, (range(split), range(split, count)), strict=True)
        ]
    return fields


@st.composite
def configs(draw):
    """Give a configuration that xl 4.17 can be told."""
    kind = draw(st.sampled_from([xl.DomainType.HVM, xl.DomainType.PV, xl.DomainType.PVH]))
    hvm = kind is xl.DomainType.HVM
    create = xl.DomainCreateInfo(
        type=kind,
        name=draw(text),
        uuid=draw(st.none() | st.uuids()),
        ssid_label=draw(texts),
        run_hotplug_scripts=True,
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    **dict.fromkeys(["hap", "oos", "driver_domain", "xend_suspend_evtchn_compat"], bits),
                    "pool_name": texts,
                    "passthrough": words(xl.Passthrough),
                },
            )
        ),
    )
    build = xl.DomainBuildInfo(
        type=draw(guests(kind)),
        claim_mode=True,
        kernel=draw(texts if hvm else text),
        apic=draw(bits) if hvm else None,
        timer_mode=xl.TimerMode.UNKNOWN if kind is xl.DomainType.PV else draw(words(xl.TimerMode)),
        exec_ssid_label=None if create.ssid_label is None else draw(texts),
        **draw(processors()),
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    **dict.fromkeys(
                        "localtime disable_migrate device_model_stubdomain acpi nested_hvm dm_restrict vpmu".split(),
                        bits,
                    ),
                    **dict.fromkeys(
                        "cmdline ramdisk device_tree bootloader device_model device_model_ssid_label "
                        "device_model_user stubdomain_kernel stubdomain_cmdline stubdomain_ramdisk".split(),
                        texts,
                    ),
                    **dict.fromkeys("bootloader_args extra extra_pv extra_hvm".split(), lists),
                    **dict.fromkeys("video_memkb shadow_memkb stubdomain_memkb".split(), mebibytes),
                    **dict.fromkeys("max_grant_frames max_maptrack_frames max_grant_version".split(), limits),
                    "tsc_mode": words(xl.TscMode),
                    "rtc_timeoffset": uint32,
                    "event_channels": uint32,
                    "vmtrace_buf_kb": int32,
                    "cpuid": several(leaves).map(
                        lambda found: CpuidPolicies(
                            leaves=tuple({(leaf.leaf, leaf.subleaf): leaf for leaf in found}.values())
                        )
                    ),
                    "device_model_version": words(xl.DeviceModelVersion),
                    "sched_params": struct(
                        xl.DomainSchedParams,
                        **dict.fromkeys("weight cap period slice latency extratime".split(), int32),
                    ),
                    "ioports": several(st.builds(xl.IoportRange, first=uint32, number=uint32)),
                    "irqs": several(uint32),
                    "iomem": several(st.builds(xl.IomemRange, start=uint64, number=uint64, gfn=uint64)),
                    "tee": words(xl.TeeType),
                    "arch_arm": struct(
                        xl.DomainBuildInfoArchArm,
                        gic_version=words(xl.GicVersion),
                        vuart=words(xl.VuartType),
                    ),
                    "arch_x86": struct(xl.DomainBuildInfoArchX86, msr_relaxed=bits),
                    "altp2m": words(xl.Altp2mMode),
                },
            )
        ),
    )
    pcidevs = draw(several(pcis(kind)))
    if pcidevs and kind is xl.DomainType.PV:
        build = build.replace(type=build.type.replace(e820_host=True))
    frames = numbered(draw(several(vfbs)))
    return xl.DomainConfig(
        c_info=create,
        b_info=build,
        disks=draw(several(whole_disks())),
        nics=numbered(draw(several(whole_nics()))),
        pcidevs=pcidevs,
        dtdevs=[xl.DeviceDtdev(path=path) for path in draw(lists)],
        vfbs=frames,
        vkbs=numbered([xl.DeviceVkb() for _ in frames] + draw(several(vkbs))),
        vtpms=numbered(draw(several(vtpms))),
        p9s=draw(several(p9s)),
        pvcallsifs=numbered(draw(several(struct(xl.DevicePvcallsif, **backends)))),
        vdispls=numbered(draw(several(vdispls))),
        vsnds=numbered(draw(several(vsnds))),
        channels=numbered(draw(several(channels))),
        usbctrls=numbered(draw(several(usbctrls))),
        usbdevs=draw(several(usbdevs)),
        **{
            event: draw(words(xl.ActionOnShutdown))
            for event in ("on_poweroff", "on_reboot", "on_watchdog", "on_crash", "on_soft_reset")
        },
    )


@settings(max_examples=60)
@given(configs())
def test_what_is_written_means_the_same(config):
    assert again(config) == config
