"""libvirt's domain XML: what becomes of it, what is told of the rest, and what is refused."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config import ConfigError
from xenwire.config.libvirt import MAX_SIZE, from_libvirt
from xenwire.config.libxl import types as xl
from xenwire.config.render import losses, render

DATA = Path(__file__).parent.parent / "data" / "libvirt"


def sample(name):
    return from_libvirt((DATA / name).read_bytes(), name)


def domain(body="", *, kind="xen", os="<type>hvm</type>", devices=""):
    """Give the XML of a domain with little in it."""
    text = f"<domain type='{kind}'><name>d</name><memory>65536</memory><os>{os}</os>{body}"
    return f"{text}<devices>{devices}</devices></domain>".encode()


def read(*arguments, **options):
    return from_libvirt(domain(*arguments, **options), "d.xml").config


def warnings(*arguments, **options):
    return [warning.message for warning in from_libvirt(domain(*arguments, **options), "d.xml").warnings]


def test_a_pv_guest():
    imported = sample("xen-pv.xml")
    config, build = imported.config, imported.config.b_info
    assert (config.c_info.name, config.c_info.type) == ("wiki", xl.DomainType.PV)
    assert str(config.c_info.uuid) == "6f0b4f5e-7b1c-4a53-9f0e-0c4d2f6a1b01"
    assert (build.max_memkb, build.target_memkb) == (1 << 20, 768 << 10)
    assert (build.max_vcpus, build.avail_vcpus) == (4, frozenset({0, 1}))
    assert build.vcpu_hard_affinity == (frozenset({0, 2, 3}),) * 4
    assert (build.bootloader, build.bootloader_args) == (
        "/usr/lib/xen/bin/pygrub",
        ("--quiet", "--entry=0"),
    )
    assert (build.tsc_mode, build.max_grant_frames, build.event_channels) == (xl.TscMode.NATIVE, 64, 2047)
    assert config.on_poweroff is xl.ActionOnShutdown.PRESERVE
    assert config.on_crash is xl.ActionOnShutdown.COREDUMP_RESTART
    assert build.type == xl.DomainBuildInfoPv(e820_host=True)
    assert [(disk.vdev, disk.format, disk.backend, disk.readwrite) for disk in config.disks] == [
        ("xvda", xl.DiskFormat.RAW, xl.DiskBackend.PHY, 1),
        ("xvdb", xl.DiskFormat.QCOW2, xl.DiskBackend.QDISK, 1),
        ("xvdc", xl.DiskFormat.RAW, xl.DiskBackend.UNKNOWN, 0),
    ]
    assert config.disks[1].backend_domname == "storage"
    assert config.disks[1].discard_enable is True
    assert config.nics == (
        xl.DeviceNic(
            devid=0,
            mac="00:16:3e:aa:bb:01",
            bridge="xenbr0",
            ip="192.0.2.7 192.0.2.8",
            script="vif-bridge",
            ifname="wiki0",
            mtu=9000,
            rate_bytes_per_interval=10240 * 1024 // 20,
            rate_interval_usecs=50_000,
        ),
        xl.DeviceNic(devid=1, mac="00:16:3e:aa:bb:02", bridge="ovsbr0:42:43", script="vif-openvswitch"),
    )
    assert config.channels == (
        xl.DeviceChannel(
            name="org.qemu.guest_agent.0",
            connection=xl.DeviceChannelSocket(path="/run/wiki-agent.sock"),
        ),
        xl.DeviceChannel(name="org.example.console.1", connection=xl.DeviceChannelPty()),
        xl.DeviceChannel(name="org.example.log.0", connection=xl.DeviceChannelPath(path="/var/log/wiki.log")),
        xl.DeviceChannel(name="org.example.void.0", connection=xl.DeviceChannelNone()),
    )
    vnc = xl.VncInfo(enable=True, listen="127.0.0.1", passwd="secret", display=7, findunused=False)
    assert config.vfbs == (xl.DeviceVfb(devid=0, vnc=vnc, keymap="de"),)
    assert config.vkbs == (xl.DeviceVkb(devid=0),)
    (pci,) = config.pcidevs
    assert (pci.bus, pci.dev, pci.func, pci.permissive, pci.seize) == (0x0A, 0x10, 1, True, True)
    assert config.usbdevs[0].type == xl.DeviceUsbdevHostdev(hostbus=1, hostaddr=3)
    assert config.usbctrls == (xl.DeviceUsbctrl(devid=0, type=xl.UsbctrlType.QUSB, version=2, ports=6),)
    (warning,) = imported.warnings
    assert (warning.file, warning.line, warning.column) == ("xen-pv.xml", 38, 7)
    assert warning.message == "<shareable> is not taken over"


def test_an_hvm_guest():
    imported = sample("xen-hvm.xml")
    config, build, guest = imported.config, imported.config.b_info, imported.config.b_info.type
    assert (config.c_info.hap, config.c_info.passthrough) == (False, xl.Passthrough.SHARE_PT)
    assert build.vcpu_hard_affinity == (frozenset({2}), frozenset({3}))
    assert (build.numa_placement, build.sched_params.weight) == (False, 512)
    assert build.vnuma_nodes == (
        xl.VnodeInfo(memkb=2 << 20, vcpus={0}, pnode=0, distances=(10, 21)),
        xl.VnodeInfo(memkb=2 << 20, vcpus={1}, pnode=1, distances=(20, 10)),
    )
    assert (build.localtime, build.rtc_timeoffset, build.nested_hvm) == (True, 3600, False)
    assert (build.acpi, build.apic, guest.pae, guest.hpet, guest.acpi_s3) == (True, True, False, False, False)
    assert (guest.bios, guest.system_firmware, guest.boot) == (
        xl.BiosType.OVMF,
        "/usr/share/ovmf/OVMF.fd",
        "dc",
    )
    assert build.device_model == "/usr/lib/xen/bin/qemu-system-i386"
    assert build.extra == ("-debugcon", "file:/tmp/debug.log")
    network, cdrom = config.disks
    assert network.pdev_path == (
        "rbd:pool/desktop:auth_supported=none:mon_host=mon1.example.org\\:6321\\;[2001\\:db8\\:\\:1]"
    )
    assert (cdrom.format, cdrom.is_cdrom, cdrom.pdev_path) == (xl.DiskFormat.EMPTY, 1, None)
    assert config.nics == (xl.DeviceNic(devid=0, mac="00:16:3e:aa:bb:03", model="e1000"),)
    assert [(pci.bus, pci.dev) for pci in config.pcidevs] == [(5, 2)]
    assert guest.serial == "unix:/run/desktop.serial,server,nowait"
    assert guest.spice == xl.SpiceInfo(
        enable=True,
        port=5901,
        host="127.0.0.1",
        passwd="thebeast",
        disable_ticketing=False,
        agent_mouse=False,
        vdagent=True,
        clipboard_sharing=True,
    )
    assert (guest.vnc.enable, guest.vga.kind, build.video_memkb) == (False, xl.VgaInterfaceType.QXL, 65536)
    assert (guest.soundhw, guest.usbdevice_list, guest.viridian) == ("hda", ("tablet",), True)
    assert [(warning.line, warning.message) for warning in imported.warnings] == [
        (29, "the CPU feature tm is not taken over"),
        (67, "only libvirt knows the bridge of the network default; xl takes xenbr0"),
        (71, "<mac> is not taken over"),
        (94, "<watchdog> is not taken over"),
    ]


def test_a_pvh_guest():
    imported = sample("xen-pvh.xml")
    config, build = imported.config, imported.config.b_info
    assert config.c_info.type is xl.DomainType.PVH
    assert (build.kernel, build.ramdisk, build.cmdline) == (
        "/boot/vmlinuz",
        "/boot/initrd.img",
        "root=tag rootfstype=9p",
    )
    assert config.p9s == (xl.DeviceP9(tag="tag", path="/srv/tiny", security_model="none"),)
    assert config.nics == (xl.DeviceNic(devid=0, mac="00:16:3e:aa:bb:05"),)
    assert imported.warnings == ()


def test_a_guest_of_kvm():
    imported = sample("kvm.xml")
    config, guest = imported.config, imported.config.b_info.type
    assert [(disk.vdev, disk.is_cdrom) for disk in config.disks] == [("xvda", 0), ("sda", 1)]
    assert (guest.boot, guest.pae, guest.serial, imported.config.b_info.device_model) == (
        "dc",
        None,
        "pty",
        None,
    )
    assert config.nics[0].bridge == "virbr0"
    assert config.nics[0].ifname is None
    assert guest.vnc == xl.VncInfo(enable=True, findunused=True)
    assert config.channels == (
        xl.DeviceChannel(name="org.qemu.guest_agent.0", connection=xl.DeviceChannelPty()),
    )
    assert [warning.message for warning in imported.warnings] == [
        "a domain of kvm: it gets the hardware that Xen has",
        "the virtio disk vda becomes xvda",
        "no virtio: the card becomes Xen's own",
        "the channel has no socket: libvirt makes one up, here it becomes a pty",
        "a channel is not taken over: spicevmc for virtio",
        "xl has no graphics card virtio; it takes its default, a cirrus",
        "<rng> is not taken over",
    ]


@pytest.mark.parametrize("name", ["xen-pv.xml", "xen-pvh.xml", "kvm.xml"])
def test_xl_cfg_says_all_of_it(name):
    config = sample(name).config
    assert b"name = " in render(config)
    assert not [loss for loss in losses(config, "out") if loss.line is None]


@pytest.mark.parametrize(
    ("memory", "kibibytes"),
    [
        ("<memory>1000</memory>", 1000),
        ("<memory unit='b'>1025</memory>", 2),
        ("<memory unit='KB'>1000</memory>", 977),
        ("<memory unit='k'>1000</memory>", 1000),
        ("<memory unit='MB'>1</memory>", 977),
        ("<memory unit='M'>2</memory>", 2048),
        ("<memory unit='GiB'>2</memory>", 2 << 20),
        ("<memory unit='TiB' dumpCore='off'>1</memory>", 1 << 30),
    ],
)
def test_units_of_memory(memory, kibibytes):
    data = domain().replace(b"<memory>65536</memory>", memory.encode())
    build = from_libvirt(data, "d.xml").config.b_info
    assert (build.max_memkb, build.target_memkb) == (kibibytes, kibibytes)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,^1", {0, 2, 3}), ("^0", set()), ("5, 7", {5, 7}), ("3-1", set()), ("1-2,^1-2,4", {4})],
)
def test_sets_of_processors(text, cpus):
    build = read(f"<vcpu cpuset='{text}'>2</vcpu>").b_info
    assert build.vcpu_hard_affinity == ((frozenset(cpus),) * 2 if cpus else ())


@pytest.mark.parametrize(
    ("os", "guest_type"),
    [
        ("<type machine='xenpv'>linux</type>", xl.DomainType.PV),
        ("<type>xen</type>", xl.DomainType.PV),
        ("<type machine='xenpvh'>linux</type>", xl.DomainType.PVH),
        ("<type>xenpvh</type>", xl.DomainType.PVH),
        ("<type machine='xenfv'>hvm</type>", xl.DomainType.HVM),
    ],
)
def test_types_of_guests(os, guest_type):
    assert read(os=os).c_info.type is guest_type


def test_a_pv_guest_that_boots_nothing_boots_by_pygrub():
    assert read(os="<type>linux</type>").b_info.bootloader == "pygrub"
    assert read(os="<type>linux</type><kernel>/k</kernel>").b_info.bootloader is None


@pytest.mark.parametrize(
    ("loader", "fields"),
    [
        ("<loader>/usr/lib/xen/boot/hvmloader</loader>", {}),
        ("<loader type='rom'>/srv/other</loader>", {"firmware": "/srv/other"}),
        ("<loader type='pflash'/>", {"bios": xl.BiosType.OVMF}),
    ],
)
def test_firmware(loader, fields):
    guest = read(os=f"<type>hvm</type>{loader}").b_info.type
    assert (guest.firmware, guest.bios) == (fields.get("firmware"), fields.get("bios", xl.BiosType.UNKNOWN))


TELNET = (
    "<serial type='tcp'><source mode='bind' host='h' service='7'/><protocol type='telnet'/>"
    "<target port='0'/></serial>"
)
UDP = (
    "<serial type='udp'><source mode='connect' host='h' service='1'/>"
    "<source mode='bind' host='b' service='2'/></serial>"
)


@pytest.mark.parametrize(
    ("serial", "words"),
    [
        ("<serial type='null'/>", "null"),
        ("<serial type='pty'><source path='/dev/pts/1'/><target port='0'/></serial>", "pty"),
        ("<serial type='file'><source path='/tmp/x'/></serial>", "file:/tmp/x"),
        ("<serial type='dev'><source path='/dev/ttyS0'/></serial>", "/dev/ttyS0"),
        ("<serial type='unix'><source mode='connect' path='/s'/></serial>", "unix:/s"),
        (TELNET, "telnet:h:7,server,nowait"),
        (UDP, "udp:h:1@b:2"),
        ("<console type='pty'/>", "pty"),
    ],
)
def test_serial_ports(serial, words):
    assert read(devices=serial).b_info.type.serial == words
    assert warnings(devices=serial) == []


def test_several_serial_ports():
    guest = read(devices="<serial type='null'/><serial type='pty'/>").b_info.type
    assert (guest.serial, guest.serial_list) == (None, ("null", "pty"))


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("<disk type='file' device='floppy'><source file='/f'/></disk>", "a floppy is not taken over"),
        ("<disk type='file'><target dev='hda'/></disk>", "a disk without a source is not taken over"),
        ("<hostdev type='usb'><source><vendor id='1'/></source></hostdev>", "<vendor> is not taken over"),
        ("<hostdev type='scsi'/>", "<hostdev> is not taken over"),
        ("<interface type='user'/>", "<interface> is not taken over"),
        ("<parallel type='pty'/>", "<parallel> is not taken over"),
        ("<filesystem type='mount'><driver type='virtiofs'/></filesystem>", "a shared folder over virtiofs"),
        ("<channel type='unix'><target type='guestfwd'/></channel>", "a channel is not taken over"),
        ("<graphics type='vnc' websocket='5700'/>", "websocket of <graphics> is not taken over"),
        ("<input type='tablet' bus='virtio'/>", "a tablet on the bus virtio is not taken over"),
    ],
)
def test_what_has_no_counterpart_is_told(device, message):
    assert any(warning.startswith(message) for warning in warnings(devices=device))


@pytest.mark.parametrize(
    ("body", "bits"),
    [
        ("<hyperv mode='passthrough'/>", set(range(64))),
        ("<hyperv><synic state='on'/><ipi state='off'/></hyperv>", {0, 2, 3, 6, 7}),
        ("<hyperv><relaxed state='on'/></hyperv>", set()),
    ],
)
def test_interfaces_of_microsoft(body, bits):
    assert read(f"<features>{body}</features>").b_info.type.viridian_enable == bits


def refused(data):
    with pytest.raises(ConfigError) as raised:
        from_libvirt(data, "d.xml")
    return raised.value.diagnostics[0]


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"", (1, 1), "this is no XML: no element found"),
        (b"<domain>\n <a></b>", (2, 7), "this is no XML: mismatched tag"),
        (b"<!DOCTYPE d []>\n<domain/>", (1, 13), "a document type, or an entity"),
        (b"<!DOCTYPE d [<!ENTITY a SYSTEM '/etc/passwd'>]><domain>&a;</domain>", (1, 13), "a document type"),
        (b"<domain>&a;</domain>", (1, 9), "this is no XML: undefined entity"),
        (b"<domain>\xff</domain>", (1, 9), "this is not UTF-8"),
        (b"<network/>", (1, 1), "<network> is no <domain>"),
        ("<domain type='é'><vcpu>é</vcpu></domain>".encode(), (1, 1), "unknown type of guest"),
        (b"<domain>" + b"<a>" * 100, (1, 198), "this is no configuration"),
        (b"<domain>" + b"<a/>" * 20_000, (1, 80_005), "this is no configuration"),
        (b" " * (MAX_SIZE + 1), (None, None), "more than 1 MiB"),
        (domain("<vcpu>0</vcpu>"), (1, 81), "the number of <vcpu> is no number from 1 to 1024: 0"),
        (domain("<uuid>x</uuid>"), (1, 81), "not a UUID: x"),
        (domain("<on_crash>explode</on_crash>"), (1, 81), "unknown action: explode"),
        (domain("<vcpu cpuset='0-4096'>1</vcpu>"), (1, 81), "cpuset of <vcpu> is no number from 0 to 1023"),
    ],
)
def test_refusals(data, place, message):
    found = refused(data)
    assert found.message.startswith(message)
    assert (found.line, found.column) == place


SAMPLES = {file.name: file.read_bytes() for file in sorted(DATA.glob("*.xml"))}
VALUE = re.compile(rb"'[^'<>]*'|(?<=>)[^<>\n]+(?=<)")


@settings(max_examples=60)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_no_value_is_too_strange(name, data):
    text = SAMPLES[name]
    places = list(VALUE.finditer(text))
    for place in sorted(data.draw(st.sets(st.integers(0, len(places) - 1), max_size=4)), reverse=True):
        match = places[place]
        strange = data.draw(
            st.sampled_from(["", "-1", "x", "é,^", "99999999999999999999999", "0x", "1e9", "4-2"])
        )
        new = f"'{strange}'" if match[0].startswith(b"'") else strange
        text = text[: match.start()] + new.encode() + text[match.end() :]
    try:
        imported = from_libvirt(text, name)
    except ConfigError as error:
        assert error.diagnostics
    else:
        losses(imported.config, "out")


def test_places_count_characters():
    found = refused(
        "<domain type='xen'><name>é é</name><memory>x</memory><os><type>hvm</type></os></domain>".encode()
    )
    assert (found.line, found.column, found.excerpt[found.caret :][:8]) == (1, 36, "<memory>")


def test_hostile_documents_cost_little_time():
    start = time.monotonic()
    many = domain("<vcpu cpuset='" + "0-1023," * 100_000 + "1'>1024</vcpu>")
    pins = "".join(f"<vcpupin vcpu='{vcpu}' cpuset='0-1023'/>" for vcpu in range(1024))
    pinned = domain(f"<vcpu>1024</vcpu><cputune>{pins}</cputune>")
    one_line = domain("<q/>" * 15_000)
    for data in (many, pinned, one_line):
        from_libvirt(data, "d.xml")
    assert time.monotonic() - start < 30
