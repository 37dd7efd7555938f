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
from xenwire.config.xl.reader import decoded

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


def without(stops="", least=0):
    """Give text that lacks some characters, of any bytes."""
    data = st.binary(max_size=12).map(lambda data: data.translate(None, b"\0" + stops.encode()))
    return data.filter(lambda data: len(data) >= least).map(decoded)


text = without()
texts = st.none() | text
lists = st.lists(text, max_size=3).map(tuple)
int32 = st.integers(-(2**31), 2**31 - 1)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
mebibytes = st.none() | st.integers(0, 2**53).map(lambda size: size * 1024)
limits = st.integers(0, 2**31 - 1)


piece = without(",")
pieces = st.none() | piece


def words(enumeration, version=(4, 17)):
    return st.sampled_from([word for word in enumeration if word.since <= version and word.name != "INVALID"])


def struct(cls, **fields):
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: cls(**given))


def numbered(devices):
    """Number devices by their places, as xl does."""
    return [device.replace(devid=devid) for devid, device in enumerate(devices)]


vncs = struct(xl.VncInfo, enable=bits, listen=without(",:"), passwd=piece, display=int32, findunused=bits)
sdls = struct(xl.SdlInfo, enable=bits, opengl=bits, display=piece, xauthority=piece)
hvms = struct(
    xl.DomainBuildInfoHvm,
    **dict.fromkeys(
        [
            "pae",
            "acpi_s3",
            "acpi_s4",
            "acpi_laptop_slate",
            "nx",
            "hpet",
            "vpt_align",
            "altp2m",
            "nographic",
            "gfx_passthru",
            "usb",
            "vkb_device",
            "xen_platform_pci",
            "viridian",
        ],
        bits,
    ),
    **dict.fromkeys(
        [
            "firmware",
            "system_firmware",
            "smbios_firmware",
            "acpi_firmware",
            "keymap",
            "boot",
            "soundhw",
            "serial",
        ],
        texts,
    ),
    bios=words(xl.BiosType),
    mmio_hole_memkb=st.integers(256, 3840).map(lambda size: size * 1024),
    hdtype=words(xl.Hdtype),
    vga=words(xl.VgaInterfaceType).filter(bool).map(lambda kind: xl.VgaInterfaceInfo(kind=kind)),
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
rates = st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)).map(
    lambda limit: {
        "rate_bytes_per_interval": limit[0] * limit[1] // 10**6,
        "rate_interval_usecs": limit[1],
    }
)
nics = struct(
    xl.DeviceNic,
    **backends,
    mtu=int32,
    mac=macs,
    nictype=words(xl.NicType),
    trusted=bits,
    **dict.fromkeys(["model", "ip", "bridge", "ifname", "script", "gatewaydev", "coloft_forwarddev"], pieces),
    **dict.fromkeys(["colo_sock_mirror_id", "colo_checkpoint_port"], pieces),
)


@st.composite
def whole_nics(draw):
    nic = draw(nics)
    return nic.replace(**draw(st.just({}) | rates))


channels = st.builds(
    xl.DeviceChannel,
    name=without(",=").map(str.strip).filter(lambda name: name.strip("\x1c\x1d\x1e\x1f\x85\xa0\u2028")),
    connection=st.sampled_from(
        [
            xl.DeviceChannelPty(),
            xl.DeviceChannelNone(),
            xl.DeviceChannelSocket(path="/s"),
            xl.DeviceChannelPath(path="p q"),
        ]
    ),
)


@st.composite
def pcis(draw, kind):
    policies = [xl.RdmReservePolicy.STRICT, xl.RdmReservePolicy.RELAXED]
    if kind is xl.DomainType.HVM:
        policies.append(xl.RdmReservePolicy.INVALID)
    switches = {name: draw(st.booleans()) for name in ("msitranslate", "power_mgmt", "permissive", "seize")}
    common = {
        "rdm_policy": draw(st.sampled_from(policies)),
        "vdevfn": draw(st.integers(0, 31)) << 3,
        **switches,
    }
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
connectors = st.builds(xl.ConnectorParam, unique_id=without(",;:", least=1), width=uint32, height=uint32)
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
    type=st.builds(xl.DeviceUsbdevHostdev, hostbus=st.integers(0, 255), hostaddr=st.integers(0, 255)),
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


create = struct(
    xl.DomainCreateInfo,
    **dict.fromkeys(["hap", "oos", "driver_domain", "xend_suspend_evtchn_compat"], bits),
    name=text,
    uuid=st.uuids(),
    pool_name=texts,
    passthrough=words(xl.Passthrough),
)
options = struct(
    xl.DomainBuildInfo,
    **dict.fromkeys(["localtime", "disable_migrate", "acpi", "nested_hvm", "dm_restrict", "vpmu"], bits),
    **dict.fromkeys(["cmdline", "ramdisk", "device_tree", "bootloader"], texts),
    **dict.fromkeys(["video_memkb", "shadow_memkb"], mebibytes),
    **dict.fromkeys(["max_grant_frames", "max_maptrack_frames", "max_grant_version"], limits),
    bootloader_args=lists,
    tsc_mode=words(xl.TscMode),
    rtc_timeoffset=uint32,
    event_channels=uint32,
    vmtrace_buf_kb=int32,
    tee=words(xl.TeeType),
    altp2m=words(xl.Altp2mMode),
    sched_params=struct(
        xl.DomainSchedParams,
        **dict.fromkeys(["weight", "cap", "period", "slice", "latency", "extratime"], int32),
    ),
    arch_arm=struct(xl.DomainBuildInfoArchArm, gic_version=words(xl.GicVersion), vuart=words(xl.VuartType)),
    arch_x86=struct(xl.DomainBuildInfoArchX86, msr_relaxed=bits),
)
device_models = struct(
    xl.DomainBuildInfo,
    **dict.fromkeys(["device_model", "device_model_ssid_label", "device_model_user"], texts),
    **dict.fromkeys(["stubdomain_kernel", "stubdomain_cmdline", "stubdomain_ramdisk"], texts),
    **dict.fromkeys(["extra", "extra_pv", "extra_hvm"], lists),
    device_model_version=words(xl.DeviceModelVersion),
    device_model_stubdomain=bits,
    stubdomain_memkb=mebibytes,
)
numbers = st.integers(0, 2**32 - 2)
ports = st.tuples(numbers, numbers).map(
    lambda ends: xl.IoportRange(first=ends[0], number=(ends[1] - ends[0] + 1) % 2**32)
)
hardware = struct(
    xl.DomainBuildInfo,
    ioports=several(ports),
    irqs=several(numbers),
    iomem=several(st.builds(xl.IomemRange, start=uint64, number=uint64, gfn=uint64)),
    cpuid=st.lists(leaves, max_size=2, unique_by=lambda leaf: (leaf.leaf, leaf.subleaf)).map(
        lambda found: CpuidPolicies(leaves=found)
    ),
)
events = struct(
    xl.DomainConfig,
    **{
        f"on_{event}": words(xl.ActionOnShutdown)
        for event in ("poweroff", "reboot", "watchdog", "crash", "soft_reset")
    },
)
TYPES = [xl.DomainType.HVM, xl.DomainType.PV, xl.DomainType.PVH]


def config(kind=xl.DomainType.PVH, *, create=None, build=None, guest=None, **devices):
    """Give a configuration as xl makes them."""
    guest = (
        guest
        or {xl.DomainType.HVM: xl.DomainBuildInfoHvm, xl.DomainType.PV: xl.DomainBuildInfoPv}.get(
            kind, xl.DomainBuildInfoPvh
        )()
    )
    create = (create or xl.DomainCreateInfo()).replace(type=kind, run_hotplug_scripts=True)
    build = (build or xl.DomainBuildInfo()).replace(type=guest, claim_mode=True)
    return xl.DomainConfig(
        c_info=create if create.name is not None else create.replace(name="d"),
        b_info=build if build.kernel is not None else build.replace(kernel="/k"),
        **devices,
    )


def of(**strategies):
    return st.builds(config, **strategies)


def devices(name, devices, *, count=True):
    listed = several(devices)
    return of(**{name: listed.map(numbered) if count else listed})


@st.composite
def labels(draw):
    label = draw(text)
    build = xl.DomainBuildInfo(exec_ssid_label=draw(texts))
    return config(create=xl.DomainCreateInfo(ssid_label=label), build=build)


@st.composite
def displays(draw):
    frames = numbered(draw(several(vfbs)))
    keyboards = numbered([xl.DeviceVkb() for _ in frames] + draw(several(vkbs)))
    return config(draw(st.sampled_from(TYPES)), vfbs=frames, vkbs=keyboards)


@st.composite
def passed_through(draw):
    kind = draw(st.sampled_from(TYPES))
    found = draw(several(pcis(kind)))
    pv = kind is xl.DomainType.PV
    guest = xl.DomainBuildInfoPv(e820_host=True if found else draw(bits)) if pv else None
    return config(kind, guest=guest, pcidevs=found)


@st.composite
def clocks(draw):
    build = xl.DomainBuildInfo(timer_mode=draw(words(xl.TimerMode)))
    kind = draw(st.sampled_from([xl.DomainType.HVM, xl.DomainType.PVH]))
    return config(kind, build=build.replace(apic=draw(bits)) if kind is xl.DomainType.HVM else build)


ASPECTS = {
    "identity": of(kind=st.sampled_from(TYPES), create=create),
    "labels": labels(),
    "processors": of(build=processors().map(lambda fields: xl.DomainBuildInfo(**fields))),
    "options": of(build=options),
    "clocks": clocks(),
    "device model": of(build=device_models),
    "hardware": of(build=hardware),
    "events": events.map(lambda found: config(**dict(found.given()))),
    "hvm": of(kind=st.just(xl.DomainType.HVM), guest=guests(xl.DomainType.HVM)),
    "pvh": of(guest=guests(xl.DomainType.PVH)),
    "disks": devices("disks", whole_disks(), count=False),
    "nics": devices("nics", whole_nics()),
    "displays": displays(),
    "pci": passed_through(),
    "dtdevs": devices("dtdevs", st.builds(xl.DeviceDtdev, path=text), count=False),
    "vtpms": devices("vtpms", vtpms),
    "p9s": devices("p9s", p9s, count=False),
    "pvcalls": devices("pvcallsifs", struct(xl.DevicePvcallsif, **backends)),
    "vdispls": devices("vdispls", vdispls),
    "vsnds": devices("vsnds", vsnds),
    "channels": devices("channels", channels),
    "usbctrls": devices("usbctrls", usbctrls),
    "usbdevs": devices("usbdevs", usbdevs, count=False),
}


@pytest.mark.parametrize("aspect", ASPECTS)
def test_what_is_written_means_the_same(aspect):
    @settings(max_examples=40)
    @given(ASPECTS[aspect])
    def check(config):
        assert again(config) == config

    check()


def test_every_parameter_of_a_network_card():
    texts = {
        name: name
        for name, field in xl.DeviceNic.FIELDS.items()
        if field.default is None and field.since <= (4, 17) and name not in ("mac", "trusted")
    }
    assert len(texts) > 50
    written = config(nics=[xl.DeviceNic(devid=0, **texts)])
    assert again(written) == written


@settings(max_examples=200)
@given(st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1))
@example(62500, 50_000)
@example(0, 50_000)
def test_rates_are_exact_or_none(amount, interval):
    text = rate(amount, interval)
    if text is None:
        assert amount * 10**6 // interval >= 2**32 or interval > 10**6
        return
    written = config(
        nics=[xl.DeviceNic(devid=0, rate_bytes_per_interval=amount, rate_interval_usecs=interval)]
    )
    assert f"rate={text}".encode() in render(written)
    assert again(written) == written


def test_rates_are_short():
    assert rate(62500, 50_000) == "1250KB/s"
    assert rate(20_000, 20_000) == "1MB/s@20000us"
    assert rate(1, 1) == "1MB/s@1us"


def test_policies_of_model_specific_registers():
    policies = CpuidPolicies(
        leaves=[CpuidLeaf(leaf=7, subleaf=0, edx="xx1xxxxxxxxxxxxxxxxxxkxxxxxxxxxx")],
        msrs=[CpuidMsr(index=0x10A, policy="x" * 61 + "k01")],
    )
    written = config(build=xl.DomainBuildInfo(cpuid=policies))
    assert again(written) == written


def test_it_reads_well():
    written = config(
        xl.DomainType.PV,
        create=xl.DomainCreateInfo(name='a "b"\n', uuid=uuid.UUID(int=1)),
        build=xl.DomainBuildInfo(
            max_vcpus=2, avail_vcpus={0}, target_memkb=1 << 20, max_memkb=1 << 20, rtc_timeoffset=2**32 - 60
        ),
        nics=[xl.DeviceNic(devid=0, bridge="xenbr0"), xl.DeviceNic(devid=1)],
        on_reboot=xl.ActionOnShutdown.RESTART_RENAME,
        on_soft_reset=xl.ActionOnShutdown.SOFT_RESET,
    )
    assert (
        render(written).decode()
        == """\
# The domain
name = "a \\"b\\"\\n"
type = "pv"
uuid = "00000000-0000-0000-0000-000000000001"

# Processors and memory
vcpus = 1
maxvcpus = 2
memory = 1024

# What happens when it ends
on_reboot = "rename-restart"

# Boot
kernel = "/k"

# Devices
vif = [
    "bridge=xenbr0",
    "",
]

# The platform
rtc_timeoffset = "-60"
"""
    )


# What it cannot say.


def told(config, version=FACTS.version):
    facts = HostFacts(version=version, random=FACTS.random)
    return [loss.message for loss in losses(config, "d.cfg", facts)]


@pytest.mark.parametrize(
    ("written", "loss"),
    [
        (
            config(build=xl.DomainBuildInfo(target_memkb=1000, max_memkb=2048)),
            "b_info.target_memkb: 1000 becomes 1024",
        ),
        (config(build=xl.DomainBuildInfo(iommu_memkb=4)), "b_info.iommu_memkb: xl.cfg cannot say 4"),
        (
            config(build=xl.DomainBuildInfo(max_vcpus=3, avail_vcpus={0, 2})),
            "b_info.avail_vcpus: [0, 2] becomes [0, 1]",
        ),
        (
            config(disks=[xl.DeviceDisk(vdev="xvda,script=x", pdev_path="/d")]),
            'disks[vdev=xvda,script=x]: xl.cfg cannot say {"pdev_path": "/d", "vdev": "xvda,script=x"}',
        ),
        (
            config(nics=[xl.DeviceNic(devid=0, backend_domid=3)]),
            'nics[devid=0].backend_domname: xl makes it "3"',
        ),
        (
            config(build=xl.DomainBuildInfo(llc_colors=[1])),
            "b_info.llc_colors: xl.cfg cannot say [1]",
        ),
        (
            config(build=xl.DomainBuildInfo(sched_params=xl.DomainSchedParams(budget=5))),
            "b_info.sched_params.budget: xl.cfg cannot say 5",
        ),
    ],
)
def test_what_cannot_be_said_is_told(written, loss):
    assert loss in told(written)


def test_channels_that_a_real_xl_does_not_make():
    connections = [xl.DeviceChannelPty(), xl.DeviceChannelNone(), xl.DeviceChannelSocket(path="/a=b")]
    written = config(
        channels=[xl.DeviceChannel(name=f"c{i}", connection=member) for i, member in enumerate(connections)]
    )
    path = 'channels[name=c2].connection.socket.path: "/a=b" becomes "/a"'
    old = told(written)
    assert any(loss.startswith("xl 4.17.5 loses the first channel") for loss in old)
    assert any(loss.startswith("xl refuses connection=none") for loss in old)
    assert path in old
    assert told(written, XenVersion(4, 20, 1)) == ["xl refuses connection=none: only Xenwire has it"]


def test_what_libxl_and_xl_number_and_default_is_no_loss():
    listing = (GOLDEN / "live" / "live-pv.list.json").read_bytes()
    ((_, listed),) = read_listing(listing)
    assert told(listed, XenVersion(4, 17, 5))[1:] == [
        "msr_relaxed is deprecated",
        'b_info.sched_params.sched: xl.cfg cannot say "credit2"',
    ]
    bare = config(nics=[xl.DeviceNic()])
    bare = bare.replace(
        c_info=bare.c_info.replace(run_hotplug_scripts=None), b_info=bare.b_info.replace(claim_mode=None)
    )
    assert told(bare) == []


def test_a_configuration_that_xl_refuses():
    assert told(xl.DomainConfig()) == [
        "the domain has no name",
        "a PV guest needs something to boot",
    ]


@pytest.mark.parametrize("stop", [",", "\n", "=", '"', "\\", ";", "]", ","])
def test_no_text_becomes_a_setting(stop):
    evil = f"x{stop}script=/evil{stop}name=evil{stop}format=qcow2"
    written = config(
        create=xl.DomainCreateInfo(name=evil),
        build=xl.DomainBuildInfo(cmdline=evil, extra=[evil]),
        disks=[xl.DeviceDisk(vdev="xvda", pdev_path=evil, readwrite=1, format=xl.DiskFormat.RAW)],
        nics=[xl.DeviceNic(devid=0, bridge=evil)],
        vfbs=[xl.DeviceVfb(devid=0, keymap=evil)],
        vkbs=[xl.DeviceVkb(devid=0)],
    )
    parsed = again(written)
    assert parsed.c_info == written.c_info
    assert parsed.b_info == written.b_info
    assert all(device in written.disks for device in parsed.disks)
    assert all(device in written.nics for device in parsed.nics)
    assert all(device in written.vfbs for device in parsed.vfbs)
