"""Configurations to compare xl's reading of them with ours: good and bad ones, the same for a seed.

Those that make xl use memory it does not own, or never end, are left out as far as they are known: what it
does with them is chance.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from xenwire.config.xl.cpuid_flags import cpuid_flags
from xenwire.config.xl.domain import KEYS

GOLDEN = Path(__file__).parents[1] / "data" / "xlcfg"

# The words of each of these are split at |.
NUMBERS = (
    "0|1|2|3|4|7|8|64|255|256|1024|3840|65535|010|0x10|08|0x|1e3|4294967295|4294967296|2147483648|"
    '9223372036854775807|99999999999999999999|"-1"|"-50"|" 7"|"+3"|"7 "|""|"1x"|'
    "\"0x7fffffff\"|'12'"
)
WORDS = '|x|/a/b|none|default|True|a b|a,b|a=b| a|ä|\t|q"q|b\\s|%s'
ACTIONS = (
    "destroy|restart|rename-restart|preserve|coredump-destroy|coredump-restart|soft-reset|restart_rename|"
    "Destroy"
)
FITTING = {
    "type": "hvm|pv|pvh|h|p|PV",
    "builder": "hvm|generic|g|pv",
    "uuid": ("5a0a077d-1c2d-4e3f-8a9b-c0ffee000054|5A0A077D-1C2D-4E3F-8A9B-C0FFEE000053|5a0a077d-1c2d"),
    "vuart": "sbsa_uart|unknown|SBSA_UART",
    "rdm": "strategy=x|policy=strict|strategy=ignore,policy=x|x",
    "passthrough": "default|disabled|enabled|sync_pt|share_pt|unknown|Enabled",
    "tsc_mode": "default|always_emulate|native|native_paravirt|Native",
    "kernel": "/k|/x/hvmloader|hvmloader|hvmloader/|/hvmloader2",
    "timer_mode": "delay_for_missed_ticks|one_missed_tick_pending|unknown",
    "bios": "seabios|ovmf|rombios|qemu_xen|SeaBIOS",
    "ms_vm_genid": "generate|none|Generate",
    "firmware": "uefi|ue|bios|b|ovmf|seabios|pvgrub32|pvgrub64|pvgrub|/f",
    "altp2m": "disabled|mixed|external|limited|Mixed",
    "device_model": "/x/stubdom-dm|qemu",
    "device_model_version": "qemu-xen|qemu-xen-traditional|qemu_xen|QEMU-XEN",
    "vnclisten": "127.0.0.1|127.0.0.1:3|:1",
    "vga": "stdvga|cirrus|none|qxl|Cirrus|std",
    "hdtype": "ide|ahci|IDE",
    "gfx_passthru": "default|igd|IGD",
    "vendor_device": "none|xenserver|XenServer",
    "gic_version": "default|v2|v3|V2",
    "tee": "none|optee|OPTEE",
} | dict.fromkeys(("on_poweroff", "on_reboot", "on_watchdog", "on_crash", "on_soft_reset"), ACTIONS)
CPUS = (
    "0|1|0-1|0-3|7|8|3-1|^0|^1|all|^all|node:0|nodes:0|node:1|node:all|^node:0|x| 1|1 ||1-|-5|-1|"
    "4294967296|01|node:|node:^0"
)
DISK = (
    "/dev/vg/a|/a.img|file:/a.img|phy:/b|tap:aio:/c|nbd:x|raw:/d|qcow2:/e|foo:/f|raw|qcow2|qcow|vhd|qed|"
    "empty|hda|xvda|sdb1|hdc:cdrom|hdc:disk|hdc:x|r|w|ro|rw|rwx|| |cdrom|devtype=cdrom|devtype=disk|"
    "devtype=x|format=raw|format=qcow2|format=|format=foo|vdev=hda|vdev=xvdb|vdev=|access=r|access=rw|"
    "access=|access=x|script=block-x|backend=dom|backendtype=phy|backendtype=qdisk|backendtype=tap|"
    "backendtype=standalone|backendtype=x|direct-io-safe|discard|no-discard|colo|no-colo|colo-host=h|"
    "colo-port=5|colo-port=0|colo-port=x|colo-export=e|active-disk=a|hidden-disk=h|specification=xen|"
    "specification=virtio|specification=x|trusted|untrusted|target=/a,b c|target=|foo=bar|foo=|Foo=1|"
    "a=b=c"
)
PCI = (
    "01:00.0|0000:02:1f.7|03:0.*|ffff:ff:1f.0|01:20.0|1:0.8|10000:01:00.0|x||bdf=04:00.1|name=n|vslot=3|"
    "vslot=1f|vslot=20|@7|01:00.0@5|01:00.0@|permissive=1|permissive=0|permissive=x|msitranslate=1|"
    "seize=1|power_mgmt=2|power_mgmt=|foo=1|rdm_policy=strict|rdm_policy=relaxed|rdm_policy=x|permissive|"
    " permissive=1"
)
ITEMS = {
    "vif": (
        "type=vif|type=ioemu|type=x|mac=00:16:3e:01:02:03|mac=0:1-2.3:4:fF|mac=1:2:3:4:5:100|mac=x|"
        "mac=00:16:3e:01:02:03:04|bridge=br0|bridge=|gatewaydev=g|netdev=n|ip=1.2.3.4|script=s|"
        "model=e1000|backend=b|vifname=v|devid=3|devid=x|devid=3x|mtu=1500|mtu=-1|rate=1MB/s|"
        "rate=10Mb/s@20ms|rate=5/s|rate=010KB/s@1u|rate=1GB/s@3s|rate=|rate=9999999GB/s|rate=1MB/s@x|"
        "rate=1MB/s@5|rate=1MB/s@99999999999|rate=0B/s|trusted|untrusted|accel=1|forwarddev=f|"
        "colo_sock_mirror_id=i|colo_compare_out=o|foo|foo=1| bridge=x|bridge =x|Bridge=x||\tip=1"
    ),
    "channel": (
        "name=n|connection=pty|connection=socket|connection=PTY|connection= pty |connection=|path=/p|"
        "path=/p=q|name==n|backend=b|foo=1|name|=| name = n |name= |"
    ),
    "vfb": (
        "vnc=1|vnc=0|vnclisten=1.2.3.4|vncpasswd=p|vncdisplay=5|vncdisplay=x|vncunused=1|keymap=de|sdl=1|"
        "opengl=1|display=:1|xauthority=/x|foo=1|foo| vnc=1|vnc= 1|"
    ),
    "vkb": (
        "backend-type=qemu|backend-type=linux|backend-type=x|backend=b|unique-id=u|"
        "feature-disable-keyboard=1|feature-disable-pointer=0|feature-abs-pointer=true|width=100|"
        "feature-raw-pointer=0x1|feature-multi-touch=1|multi-touch-width=5|multi-touch-height=6|"
        "multi-touch-num-contacts=7|height=-1|foo=1|foo| width=4|"
    ),
    "usbctrl": (
        "type=auto|type=pv|type=devicemodel|type=qusb|type=QUSB|type=x|version=2|version=x|ports=8|"
        "ports=0x8|ports=-1|foo=1|foo| ports=2|"
    ),
    "usbdev": (
        "type=hostdev|type=x|hostbus=1|hostaddr=0x10|hostaddr=300|controller=2|port=3|port=x|foo=1|foo|"
        " port=2|"
    ),
    "p9": ("tag=t|security_model=none|path=/p|backend=b|tag=|foo=1|foo| tag=u|"),
    "vtpm": ("backend=b|uuid=5a0a077d-1c2d-4e3f-8a9b-c0ffee000053|uuid=x|foo=1|foo| backend=c|"),
    "pvcalls": "backend=b|backend=|foo=1|foo| backend=c|",
    "vdispl": (
        "backend=b|be-alloc=1|be-alloc=x|connectors=a:1x2|connectors=a:1x2;b:3x4|connectors=a:x|"
        "connectors=a:1x2x3|connectors=a:1|foo=1|foo| backend=c|"
    ),
    "dtdev": "/soc/a||a b",
    "vif2": "x|",
    "mca_caps": "lmce|LMCE|x|",
    "viridian": ("all|defaults|base|!base|BASE|stimer|!synic|hcall_ipi|cpu_hotplug|x|!all|!|"),
    "ioports": "2f8-2ff|3f8|0x60|9-5|x|2f8-|60zz|-1|ffffffff| 10- +20|",
    "irqs": "5|13|9a|4294967295|-1| 7|7 |",
    "iomem": ("fee00,1|a0,20@b0|0x10,0x1|fee00|1,2@|1 ,2| 1, 2@ 3|-1,1|0x,1|1,1,1|"),
    "serial": "pty|none|",
    "usbdevice": "tablet|",
    "bootloader_args": "-a|b c|",
} | dict.fromkeys(("device_model_args", "device_model_args_pv", "device_model_args_hvm"), "-a|-b c|")
SOUND = (
    "sample-rates=8000;44100|sample-formats=u8;s16_le|sample-formats=x|channels-min=1|channels-max=9|"
    "buffer-size=5|backend=b|short-name=s|long-name=l|name=n|unique-id=u|type=p|type=c|type=x|foo=1|foo|"
)
NODE = (
    "pnode=0|pnode=1|pnode=x|size=512| size = 64 |size=-5|size=1x|vcpus=0|vcpus=0-1|vcpus=2,3|vcpus=0,0|"
    "vcpus=x|vcpus= |vcpus=3-1|vdistances=10|vdistances=10,20|vdistances=x|foo=bar|pnode|=|"
)
LEAF = (
    "1:eax={}|1:ebx={},ecx={}|0x80000001:edx={}|4,1:eax={}, ebx={}|7,0:|z:|1|1,x:|1:eex={}|1:eax=1|"
    "1: eax={}|-1:eax={}|1:eax={},|010:eaxx={}"
)
FLAG_VALUES = "0|1|x|k|s|z||5|0x1f|-1|300|11|kk| 1|08"
ODD = " ,=:;@-!^x0\t'"
CHANCE = (
    rb"\0",
    rb"^\s*cpus(?:_soft)?\s*\+?=\s*\[[^\]]*\[",
    rb"^\s*vcpus\s*=\s*\W*(?:\d{7}|0x7f)",
    rb"^\s*rdm\s*\+?=\s*.?strategy=host",
    rb"^\s*pci\s.*[\"'=](?:[0-9a-fA-F]+:){1,2}[0-9a-fA-F]+(?![0-9a-fA-F.:])",
    rb"mac=(?!x|(?:[0-9a-fA-F]{1,3}[^,'\"\w]){5}[0-9a-fA-F]{1,3})",
)


def configurations(seed: int, count: int) -> Iterator[bytes]:
    """Give so many configurations."""
    chance = random.Random(seed)
    golden = [path.read_bytes() for path in sorted(GOLDEN.glob("*.cfg"))]
    while count:
        kind = chance.random()
        if kind < 0.15:
            data = _damaged(chance, chance.choice(golden))
        elif kind < 0.25:
            data = _recombined(chance, golden)
        elif kind < 0.35:
            data = _plain(chance)
        else:
            data = _made(chance)
        if not _is_chance(data):
            count -= 1
            yield data


def _is_chance(data: bytes) -> bool:
    """Tell whether a file may make xl read or write what is not its own, or count to 2^32."""
    return any(re.search(pattern, data, re.MULTILINE) for pattern in CHANCE) or (
        re.search(rb"^\s*cpus", data, re.MULTILINE) is not None
        and re.search(rb"^\s*(?:max)?vcpus\s*=\s*[1-9]", data, re.MULTILINE) is None
    )


def _damaged(chance: random.Random, data: bytes) -> bytes:
    """Change some bytes of a file."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        byte = bytes([chance.choice(b"'\"[],;=+#\n\\ \txa1\r(") if chance.random() < 0.9 else 0xE4])
        data = data[:at] + chance.choice((b"", byte)) + data[at + chance.randint(0, 2) :]
    return data


def _recombined(chance: random.Random, golden: list[bytes]) -> bytes:
    """Put lines of several files together."""
    lines = [line for data in chance.sample(golden, 3) for line in data.splitlines(keepends=True)]
    chance.shuffle(lines)
    return b"".join(lines)


def _head(chance: random.Random) -> list[str]:
    """Make the lines that a configuration needs."""
    guest = chance.choice(("hvm", "pv", "pvh"))
    lines = ['name = "t"', 'uuid = "5a0a077d-1c2d-4e3f-8a9b-c0ffee000053"', f'type = "{guest}"']
    return lines if guest == "hvm" else [*lines, 'kernel = "/k"']


def _plain(chance: random.Random) -> bytes:
    """Make many settings that are mostly fine."""
    lines = _head(chance)
    for key in chance.sample([key for key in KEYS if "L" not in KEYS[key]], k=30):
        match KEYS[key][0]:
            case "B":
                lines.append(f"{key} = {chance.randint(0, 1)}")
            case "N":
                lines.append(f"{key} = {chance.randint(0, 4096)}")
            case "T" if key not in FITTING:
                lines.append(f"{key} = '/a/b'")
    return "\n".join(lines).encode() + b"\n"


def _made(chance: random.Random) -> bytes:
    """Make a few settings, good or bad."""
    lines = _head(chance)
    for key in chance.choices(list(KEYS), k=chance.randint(1, 5)):
        if key in ("cpus", "cpus_soft", "vnuma") and chance.random() < 0.8:
            lines.append(f"vcpus = {chance.randint(1, 4)}")
        kind = chance.choice(KEYS[key] if chance.random() < 0.95 else "TNL")
        operator = "+=" if chance.random() < 0.05 else "="
        lines.append(f"{key} {operator} {_value(chance, key, kind)}")
    return "\n".join(lines).encode() + b"\n"


def _value(chance: random.Random, key: str, kind: str) -> str:
    if kind == "L":
        items = [_item(chance, key) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
        if chance.random() < 0.04:
            items.insert(chance.randint(0, len(items)), "[ 'x' ]")
        return f"[ {', '.join(items)} ]"
    if kind == "T" and key == "cpuid":
        flags = chance.choices(sorted(cpuid_flags()), k=chance.randint(0, 6))
        words = [f"{flag.decode()}={_pick(chance, FLAG_VALUES)}" for flag in flags]
        return _quoted(",".join(["host" if chance.random() < 0.9 else "x", *words]))
    if kind == "T" and key in ("cpus", "cpus_soft"):
        return _quoted(_cpus(chance))
    if kind == "T":
        return _quoted(_pick(chance, FITTING[key] if key in FITTING and chance.random() < 0.8 else WORDS))
    if kind == "B":
        return _pick(chance, NUMBERS if chance.random() < 0.2 else "0|1")
    return _pick(chance, NUMBERS)


def _item(chance: random.Random, key: str) -> str:
    """Make an item of a list."""
    match key:
        case "vnuma":
            options = _some(chance, NODE, 0, 4)
            return f"[ {', '.join(map(_quoted, options))} ]" if chance.random() < 0.95 else "'x'"
        case "vsnd":
            levels = [
                ", ".join([_pick(chance, "card|PCM|stream|x"), *_some(chance, SOUND, 0, 3)]) for _ in range(2)
            ]
            return f"[ {', '.join(map(_quoted, levels))} ]"
        case "cpus" | "cpus_soft":
            return _quoted(_cpus(chance))
        case "cpuid":
            bits = "".join(chance.choices("01xks", k=32 if chance.random() < 0.9 else 31))
            return _quoted(_pick(chance, LEAF).replace("{}", bits))
        case "disk":
            pieces = _some(chance, DISK, 1, 5)
            if chance.random() < 0.5:
                pieces = ["/a.img", "raw", "xvda", "w", *pieces]
            text = ",".join(pieces)
        case "pci":
            text = ",".join(["01:00.0"] * chance.randint(0, 1) + _some(chance, PCI, 1, 3))
        case _:
            words = ITEMS.get(key, WORDS)
            text = ",".join(_some(chance, words, 1, 4)) if "=" in words else _pick(chance, words)
    if chance.random() < 0.1 and key not in ("vif", "vdispl"):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(ODD) + text[at + chance.randint(0, 1) :]
    return _quoted(text)


def _cpus(chance: random.Random) -> str:
    return ",".join(_some(chance, CPUS, 1, 3))


def _some(chance: random.Random, words: str, least: int, most: int) -> list[str]:
    return chance.choices(words.split("|"), k=chance.randint(least, most))


def _pick(chance: random.Random, words: str) -> str:
    return chance.choice(words.split("|"))


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))
