"""Each key of xl.cfg as Xen 4.17.5 reads it (xen: tools/xl/xl_parse.c): JSON, xl's words, its exit status."""

import uuid

import pytest

from xenwire.config.diagnostics import ConfigError, Severity
from xenwire.config.libxl.json_writer import to_data
from xenwire.config.libxl.version import XenVersion
from xenwire.config.xl.config import parse_config, with_settings, xl_verdict
from xenwire.config.xl.facts import HostFacts, XlConf
from xenwire.config.xl.keys import KEYS, LATER, suggestion

ID = "5a000000-0000-4000-8000-000000000001"
PV = f'name="n"\nuuid="{ID}"\nkernel="/k"\n'
PVH = f'name="n"\nuuid="{ID}"\ntype="pvh"\nkernel="/k"\n'
HVM = f'name="n"\nuuid="{ID}"\ntype="hvm"\n'
HEAD = "Parsing config from f\n"


def read(text, **facts):
    return parse_config(text.encode(), "f", HostFacts(**facts))


def data(text, **facts):
    return to_data(read(text, **facts).config)


def words(text, **facts):
    """Give what xl prints after its first line, and its status."""
    verdict = xl_verdict(text.encode(), "f", HostFacts(**facts))
    said = verdict.words.decode()
    assert said.startswith(HEAD)
    return said.removeprefix(HEAD), verdict.status


def at(tree, path):
    """Look a path such as `b_info/type.hvm/vga/kind` up."""
    for name in path.split("/"):
        tree = tree[name]
    return tree


def differing(text, base):
    """Give what a text adds to a base, as paths with values."""

    def flat(tree, path):
        if not isinstance(tree, dict):
            return {path: tree}
        return {
            k: v for name, value in tree.items() for k, v in flat(value, f"{path}/{name}".lstrip("/")).items()
        }

    before, after = flat(data(base), ""), flat(data(base + text), "")
    assert before.keys() <= after.keys()
    return {path: value for path, value in after.items() if before.get(path) != value}


def refused(text, **facts):
    with pytest.raises(ConfigError) as error:
        parse_config(text.encode(), "f", HostFacts(**facts))
    return [found for found in error.value.diagnostics if found.severity is Severity.ERROR]


# --- what each key sets ---------------------------------------------------------------------------------

TEXTS = {
    PV: {
        "init_seclabel": "c_info/ssid_label",
        "seclabel": "c_info/ssid_label",
        "pool": "c_info/pool_name",
        "ramdisk": "b_info/ramdisk",
        "device_tree": "b_info/device_tree",
        "cmdline": "b_info/cmdline",
        "extra": "b_info/cmdline",
        "bootloader": "b_info/bootloader",
        "device_model_stubdomain_seclabel": "b_info/device_model_ssid_label",
        "device_model_user": "b_info/device_model_user",
        "stubdomain_kernel": "b_info/stubdomain_kernel",
        "stubdomain_cmdline": "b_info/stubdomain_cmdline",
        "stubdomain_ramdisk": "b_info/stubdomain_ramdisk",
    },
    PVH: {
        "pvshim_path": "b_info/type.pvh/pvshim_path",
        "pvshim_cmdline": "b_info/type.pvh/pvshim_cmdline",
        "pvshim_extra": "b_info/type.pvh/pvshim_extra",
    },
    HVM: {
        "kernel": "b_info/kernel",
        "firmware_override": "b_info/type.hvm/firmware",
        "bios_path_override": "b_info/type.hvm/system_firmware",
        "smbios_firmware": "b_info/type.hvm/smbios_firmware",
        "acpi_firmware": "b_info/type.hvm/acpi_firmware",
        "vnclisten": "b_info/type.hvm/vnc/listen",
        "vncpasswd": "b_info/type.hvm/vnc/passwd",
        "display": "b_info/type.hvm/sdl/display",
        "xauthority": "b_info/type.hvm/sdl/xauthority",
        "keymap": "b_info/type.hvm/keymap",
        "spicehost": "b_info/type.hvm/spice/host",
        "spicepasswd": "b_info/type.hvm/spice/passwd",
        "spice_image_compression": "b_info/type.hvm/spice/image_compression",
        "spice_streaming_video": "b_info/type.hvm/spice/streaming_video",
        "serial": "b_info/type.hvm/serial",
        "boot": "b_info/type.hvm/boot",
        "usbdevice": "b_info/type.hvm/usbdevice",
        "soundhw": "b_info/type.hvm/soundhw",
        "firmware": "b_info/type.hvm/firmware",
    },
}
BOOLEANS = {
    PV: {
        "hap": "c_info/hap",
        "oos": "c_info/oos",
        "e820_host": "b_info/type.pv/e820_host",
        "nomigrate": "b_info/disable_migrate",
        "localtime": "b_info/localtime",
        "driver_domain": "c_info/driver_domain",
        "acpi": "b_info/acpi",
        "nestedhvm": "b_info/nested_hvm",
        "device_model_stubdomain_override": "b_info/device_model_stubdomain",
        "dm_restrict": "b_info/dm_restrict",
        "xend_suspend_evtchn_compat": "c_info/xend_suspend_evtchn_compat",
        "msr_relaxed": "b_info/arch_x86/msr_relaxed",
        "vpmu": "b_info/vpmu",
    },
    PVH: {"pvshim": "b_info/type.pvh/pvshim"},
    HVM: {
        "pae": "b_info/type.hvm/pae",
        "acpi_s3": "b_info/type.hvm/acpi_s3",
        "acpi_s4": "b_info/type.hvm/acpi_s4",
        "acpi_laptop_slate": "b_info/type.hvm/acpi_laptop_slate",
        "nx": "b_info/type.hvm/nx",
        "hpet": "b_info/type.hvm/hpet",
        "vpt_align": "b_info/type.hvm/vpt_align",
        "apic": "b_info/apic",
        "viridian": "b_info/type.hvm/viridian",
        "altp2mhvm": "b_info/type.hvm/altp2m",
        "vnc": "b_info/type.hvm/vnc/enable",
        "vncunused": "b_info/type.hvm/vnc/findunused",
        "sdl": "b_info/type.hvm/sdl/enable",
        "opengl": "b_info/type.hvm/sdl/opengl",
        "spice": "b_info/type.hvm/spice/enable",
        "spicedisable_ticketing": "b_info/type.hvm/spice/disable_ticketing",
        "spiceagent_mouse": "b_info/type.hvm/spice/agent_mouse",
        "spicevdagent": "b_info/type.hvm/spice/vdagent",
        "spice_clipboard_sharing": "b_info/type.hvm/spice/clipboard_sharing",
        "nographic": "b_info/type.hvm/nographic",
        "gfx_passthru": "b_info/type.hvm/gfx_passthru",
        "usb": "b_info/type.hvm/usb",
        "vkb_device": "b_info/type.hvm/vkb_device",
        "xen_platform_pci": "b_info/type.hvm/xen_platform_pci",
    },
}
INTEGERS = {
    PV: {
        "cpu_weight": "b_info/sched_params/weight",
        "cap": "b_info/sched_params/cap",
        "period": "b_info/sched_params/period",
        "slice": "b_info/sched_params/slice",
        "latency": "b_info/sched_params/latency",
        "extratime": "b_info/sched_params/extratime",
        "maxvcpus": "b_info/max_vcpus",
        "vmtrace_buf_kb": "b_info/vmtrace_buf_kb",
    },
    HVM: {
        "vncdisplay": "b_info/type.hvm/vnc/display",
        "spiceport": "b_info/type.hvm/spice/port",
        "spicetls_port": "b_info/type.hvm/spice/tls_port",
        "spiceusbredirection": "b_info/type.hvm/spice/usbredirection",
        "usbversion": "b_info/type.hvm/usbversion",
    },
}
UNSIGNED = {PV: {"rtc_timeoffset": "b_info/rtc_timeoffset", "max_event_channels": "b_info/event_channels"}}
MEMORY = {
    PV: {
        "maxmem": "b_info/max_memkb",
        "shadow_memory": "b_info/shadow_memkb",
        "videoram": "b_info/video_memkb",
        "stubdomain_memory": "b_info/stubdomain_memkb",
    },
    HVM: {"rdm_mem_boundary": "b_info/type.hvm/rdm_mem_boundary_memkb"},
}
LIMITS = {
    PV: {key: f"b_info/{key}" for key in ("max_grant_frames", "max_maptrack_frames", "max_grant_version")}
}


def rows(table):
    return [(base, key, path) for base, keys in table.items() for key, path in keys.items()]


@pytest.mark.parametrize(("base", "key", "path"), rows(TEXTS))
def test_text_is_copied(base, key, path):
    assert differing(f'{key}="some text"\n', base) == {path: "some text"}
    assert differing(f"{key}=0x1F\n".lower(), base) == {path: "0x1f"}


@pytest.mark.parametrize(("base", "key", "path"), [row for row in rows(TEXTS) if row[1] != "firmware"])
def test_empty_text_is_text(base, key, path):
    assert differing(f'{key}=""\n', base) == {path: ""}


@pytest.mark.parametrize(
    ("base", "key", "path"), [row for row in rows(TEXTS) if row[1] not in {"serial", "usbdevice"}]
)
def test_a_list_is_no_text(base, key, path):
    warning = (
        f"f:{base.count(chr(10)) + 1}: warning: parameter `{key}' is a list but should be a single value\n"
    )
    assert words(f'{base}{key} = [ "a" ]\n') == (warning, 0)
    assert differing(f"{key}=[]\n", base) == {}


@pytest.mark.parametrize(("base", "key", "path"), rows(BOOLEANS))
@pytest.mark.parametrize(
    ("value", "stored"), [("0", "False"), ("1", "True"), ("7", "True"), ('"-1"', "True"), ("00", "False")]
)
def test_a_boolean_is_a_number(base, key, path, value, stored):
    assert differing(f"{key}={value}\n", base) == {path: stored}


@pytest.mark.parametrize(
    ("base", "key", "path"), [row for row in rows(BOOLEANS) if row[1] not in {"viridian", "gfx_passthru"}]
)
@pytest.mark.parametrize("value", ["True", "yes", "", "1 ", "0b1", "12abc"])
def test_words_are_no_booleans(base, key, path, value):
    line = base.count("\n") + 1
    assert words(f'{base}{key} = "{value}"\n') == (
        f"f:{line}: warning: parameter `{key}' is not a valid number\n",
        0,
    )
    (warning,) = [
        found for found in read(f'{base}{key} = "{value}"\n').warnings if "not a number" in found.message
    ]
    assert (warning.line, warning.column) == (line, len(key) + 4)


@pytest.mark.parametrize(("base", "key", "path"), rows(INTEGERS))
@pytest.mark.parametrize(
    ("value", "stored"),
    [("7", 7), ("010", 8), ("0x10", 16), ('" +3"', 3), ("4294967303", 7), ("2147483647", 2**31 - 1)],
)
def test_an_integer_has_32_bits(base, key, path, value, stored):
    assert differing(f"{key}={value}\n", base) == {path: stored}


@pytest.mark.parametrize(("base", "key", "path"), [row for row in rows(INTEGERS) if row[1] != "maxvcpus"])
def test_an_integer_has_a_sign(base, key, path):
    assert differing(f"{key}=2147483648\n", base) == {path: -(2**31)}
    assert differing(f'{key}="-50"\n', base) == {path: -50}


def test_cut_off_numbers_are_warned_of():
    (warning,) = read(f"{PV}cap=4294967296\n").warnings
    assert (warning.message, warning.hint, warning.line) == (
        "cap = 4294967296 does not fit",
        "xl takes 0 instead",
        4,
    )
    (warning,) = read(f'{PV}memory="-1"\n').warnings
    assert warning.hint == "xl takes 18446744073709550592 KiB instead"


@pytest.mark.parametrize(("base", "key", "path"), rows(UNSIGNED))
@pytest.mark.parametrize(
    ("value", "stored"), [("7", 7), ('"-3600"', 4294963696), ("4294967297", 1), ("4294967295", 2**32 - 1)]
)
def test_an_unsigned_number_has_32_bits(base, key, path, value, stored):
    assert differing(f"{key}={value}\n", base) == {path: stored}


def test_a_negative_offset_of_the_clock_is_meant():
    assert read(f'{PV}rtc_timeoffset="-3600"\n').warnings == ()
    assert len(read(f"{PV}rtc_timeoffset=4294967296\n").warnings) == 1


@pytest.mark.parametrize(("base", "key", "path"), rows(MEMORY))
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("0", 0),
        ("1", 1024),
        ('"-1"', 2**64 - 1024),
        ("9007199254740992", 2**63),
        ("0x7fffffffffffffff", 2**64 - 1024),
    ],
)
def test_memory_is_kib(base, key, path, value, stored):
    assert differing(f"{key}={value}\n", base) == {path: stored}


@pytest.mark.parametrize(("base", "key", "path"), rows(LIMITS))
@pytest.mark.parametrize(("value", "stored"), [("0", 0), ("64", 64), ("2147483647", 2**31 - 1)])
def test_limits_of_grants(base, key, path, value, stored):
    assert differing(f"{key}={value}\n", base) == {path: stored}


@pytest.mark.parametrize("key", LIMITS[PV])
@pytest.mark.parametrize(
    "value", ['"-1"', "2147483648", '"x"', '""', '["1"]', "0x1_", "99999999999999999999"]
)
def test_bad_limits_of_grants_end_xl_without_a_word(key, value):
    value = value.removesuffix("_")
    text = f"{PV}{key}={value}\n" if value != "0x1" else f"{PV}{key} += 1\n"
    assert words(text) == ("", 1)
    (error,) = refused(text)
    assert error.line == 4


@pytest.mark.parametrize("base", [HVM, PV])
def test_every_key_that_is_copied_is_tested(base):
    tested = {
        key
        for table in (TEXTS, BOOLEANS, INTEGERS, UNSIGNED, MEMORY, LIMITS)
        for keys in table.values()
        for key in keys
    }
    assert tested <= KEYS.keys()
    assert len(tested) == 96


WORDS = {
    ("vuart", PV): (
        "b_info/arch_arm/vuart",
        {"sbsa_uart": "sbsa_uart", "SBSA_UART": "sbsa_uart", "unknown": None},
    ),
    ("passthrough", PV): (
        "c_info/passthrough",
        {
            "default": None,
            "disabled": "disabled",
            "Enabled": "enabled",
            "sync_pt": "sync_pt",
            "share_pt": "share_pt",
        },
    ),
    ("tsc_mode", PV): (
        "b_info/tsc_mode",
        {
            "default": None,
            "always_emulate": "always_emulate",
            "NATIVE": "native",
            "native_paravirt": "native_paravirt",
        },
    ),
    ("timer_mode", PVH): (
        "b_info/timer_mode",
        {
            "unknown": None,
            "delay_for_missed_ticks": "delay_for_missed_ticks",
            "no_delay_for_missed_ticks": "no_delay_for_missed_ticks",
            "No_Missed_Ticks_Pending": "no_missed_ticks_pending",
            "one_missed_tick_pending": "one_missed_tick_pending",
        },
    ),
    ("bios", HVM): (
        "b_info/type.hvm/bios",
        {"rombios": "rombios", "SeaBIOS": "seabios", "ovmf": "ovmf", "unknown": None},
    ),
    ("altp2m", PV): (
        "b_info/altp2m",
        {"disabled": None, "mixed": "mixed", "External": "external", "limited": "limited"},
    ),
    ("hdtype", HVM): ("b_info/type.hvm/hdtype", {"ide": None, "AHCI": "ahci"}),
    ("vendor_device", HVM): (
        "b_info/type.hvm/vendor_device",
        {"none": None, "XenServer": "xenserver"},
    ),
    ("gic_version", PV): ("b_info/arch_arm/gic_version", {"default": None, "v2": "v2", "V3": "v3"}),
    ("tee", PV): ("b_info/tee", {"none": None, "OPTEE": "optee"}),
    ("device_model_version", PV): (
        "b_info/device_model_version",
        {"qemu-xen": "qemu_xen", "qemu-xen-traditional": "qemu_xen_traditional"},
    ),
    ("vga", HVM): (
        "b_info/type.hvm/vga/kind",
        {"stdvga": "std", "cirrus": "cirrus", "none": "none", "qxl": "qxl"},
    ),
    ("on_poweroff", PV): ("on_poweroff", {"destroy": None, "restart": "restart"}),
    ("on_reboot", PV): ("on_reboot", {"preserve": "preserve", "rename-restart": "restart_rename"}),
    ("on_watchdog", PV): ("on_watchdog", {"coredump-restart": "coredump_restart"}),
    ("on_crash", PV): ("on_crash", {"coredump-destroy": "coredump_destroy", "soft-reset": "soft_reset"}),
    ("on_soft_reset", PV): ("on_soft_reset", {"restart": "restart"}),
}


@pytest.mark.parametrize(
    ("base", "key", "path", "word", "stored"),
    [
        (base, key, path, word, stored)
        for (key, base), (path, meanings) in WORDS.items()
        for word, stored in meanings.items()
    ],
)
def test_words(base, key, path, word, stored):
    assert differing(f'{key}="{word}"\n', base) == ({} if stored is None else {path: stored})
    said = f'got a tsc mode string: "{word}"\n' if key == "tsc_mode" else ""
    assert words(f'{base}{key}="{word}"\n') == (said, 0)


UNKNOWN_WORDS = {
    ("type", ""): ("Invalid domain type {}.\n", 1),
    ("builder", ""): ("Invalid domain type {}.\n", 1),
    ("uuid", ""): ("Failed to parse UUID: {}\n", 1),
    ("vuart", PV): ('ERROR: invalid value "{}" for "vuart"\n', 1),
    ("passthrough", PV): ("ERROR: unknown passthrough option '{}'\n", 1),
    ("tsc_mode", PV): ('got a tsc mode string: "{0}"\nERROR: invalid value "{0}" for "tsc_mode"\n', 1),
    ("timer_mode", HVM): ('ERROR: invalid value "{}" for "timer_mode"\n', 1),
    ("timer_mode", PV): ('ERROR: "timer_mode" option is not supported for PV guests.\n', 3),
    ("bios", HVM): ('ERROR: invalid value "{}" for "bios"\n', 1),
    ("ms_vm_genid", HVM): ('ERROR: "ms_vm_genid" option must be "generate" or "none"\n', 1),
    ("altp2m", PV): ('ERROR: invalid value "{}" for "altp2m"\n', 1),
    ("hdtype", HVM): ('ERROR: invalid value "{}" for "hdtype"\n', 1),
    ("gfx_passthru", HVM): ('ERROR: invalid value "{}" for "gfx_passthru"\n', 1),
    ("vendor_device", HVM): ("xl: unknown vendor_device '{}'\n", 3),
    ("gic_version", PV): ('Unknown gic_version "{}" specified\n', 3),
    ("tee", PV): ('Unknown tee "{}" specified\n', 3),
    ("device_model_version", PV): ('Unknown device_model_version "{}" specified\n', 1),
    ("vga", HVM): ('Unknown vga "{}" specified\n', 1),
    ("on_poweroff", PV): ('Unknown on_poweroff action "{}" specified\n', 1),
    ("on_reboot", PV): ('Unknown on_reboot action "{}" specified\n', 1),
    ("on_watchdog", PV): ('Unknown on_watchdog action "{}" specified\n', 1),
    ("on_crash", PV): ('Unknown on_crash action "{}" specified\n', 1),
    ("on_soft_reset", PV): ('Unknown on_soft_reset action "{}" specified\n', 1),
}


@pytest.mark.parametrize(("key", "base"), UNKNOWN_WORDS)
@pytest.mark.parametrize("word", ["bogus", "h v\u00e9"])
def test_unknown_words(key, base, word):
    said, status = UNKNOWN_WORDS[key, base]
    base = base or "name='n'\nkernel='/k'\n"
    text = f"{base}{key} = '{word}'\n"
    assert words(text) == (said.format(word), status)
    (error,) = refused(text)
    assert error.line == base.count("\n") + 1
    assert error.excerpt[error.caret] == "'"


@pytest.mark.parametrize(
    ("key", "word"), [("on_crash", "Destroy"), ("on_crash", "rename_restart"), ("on_crash", "")]
)
def test_actions_have_small_letters_and_hyphens(key, word):
    assert words(f'{PV}{key}="{word}"\n') == (f'Unknown {key} action "{word}" specified\n', 1)


@pytest.mark.parametrize(
    ("base", "key", "word"),
    [
        (HVM, "vga", "STDVGA"),
        (HVM, "vga", ""),
        (HVM, "ms_vm_genid", "Generate"),
        (PV, "device_model_version", "qemu_xen"),
    ],
)
def test_words_that_have_to_be_exact(base, key, word):
    assert words(f'{base}{key}="{word}"\n')[1] == 1


def test_a_list_as_action_leaves_xls_default():
    assert data(f"{PV}on_reboot=[]\n")["on_reboot"] == "restart"


# --- rows with rules of their own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "domain_type"),
    [
        ('type="hvm"', "hvm"),
        ('type="h"', "hvm"),
        ('type=""', "hvm"),
        ('type="pv"', "pv"),
        ('type="p"', "pv"),
        ('type="pvh"', "pvh"),
        ('builder="hvm"', "hvm"),
        ('builder=""', "hvm"),
        ('builder="generic"', "pv"),
        ('builder="gen"', "pv"),
        ('type="hvm"\nbuilder="hv"', "hvm"),
        ('type=["hvm"]', "pv"),
        ("", "pv"),
    ],
)
def test_type_and_builder(text, domain_type):
    tree = data(f'name="n"\nkernel="/k"\n{text}\n')
    assert tree["c_info"]["type"] == domain_type
    assert f"type.{domain_type}" in tree["b_info"]


@pytest.mark.parametrize(
    "text", ['type="pvh"\nbuilder="generic"', 'type="pv"\nbuilder="hvm"', 'builder="h"\ntype="pvh"']
)
def test_type_and_builder_contradict(text):
    text = f'name="n"\n{text}\n'
    assert words(text) == ('Contradicting "builder" and "type" options specified.\n', 1)


def test_types_of_other_kinds_are_unknown():
    assert words("name='n'\ntype='HVM'\n") == ("Invalid domain type HVM.\n", 1)
    assert words("name='n'\ntype=1\n") == ("Invalid domain type 1.\n", 1)
    assert words("name='n'\nbuilder='linux'\n") == ("Invalid domain type linux.\n", 1)


def test_labels():
    tree = data(f'{PV}seclabel="run"\ninit_seclabel="init"\n')
    assert (tree["c_info"]["ssid_label"], tree["b_info"]["exec_ssid_label"]) == ("init", "run")
    tree = data(f'{PV}seclabel="run"\ninit_seclabel=""\n')
    assert (tree["c_info"]["ssid_label"], tree["b_info"]["exec_ssid_label"]) == ("", "run")


def test_a_wrong_type_does_not_lead_to_further_errors():
    assert [error.line for error in refused("name='n'\ntype='x'\nvga='y'\nvnc=1\ncap='z'\n")] == [2]


def test_names():
    assert data('name=""\nkernel="k"')["c_info"]["name"] == ""
    assert words('kernel="k"\n') == ("Domain name must be specified.\n", 1)
    warning = "f:1: warning: parameter `name' is a list but should be a single value\n"
    assert words("name=[]\n") == (warning + "Domain name must be specified.\n", 1)


def test_uuids():
    assert "uuid" not in data('name="n"\nkernel="/k"\n')["c_info"]
    shouted = read(f'name="n"\nkernel="/k"\nuuid="{ID.upper()}"\n').config.c_info.uuid
    assert shouted == uuid.UUID(ID)


@pytest.mark.parametrize(
    "bad",
    ["", ID[:-1], ID + "0", ID.replace("-", ""), "{" + ID[1:-1] + "}", ID[:-1] + "g", ID.replace("-", "_")],
)
def test_bad_uuids(bad):
    assert words(f'name="n"\nkernel="/k"\nuuid="{bad}"\n') == (f"Failed to parse UUID: {bad}\n", 1)


def test_memory_is_the_default_of_maxmem():
    assert differing("memory=2\n", PV) == {"b_info/max_memkb": 2048, "b_info/target_memkb": 2048}
    assert differing("memory=2\nmaxmem=1\n", PV) == {"b_info/max_memkb": 1024, "b_info/target_memkb": 2048}


@pytest.mark.parametrize(
    ("text", "max_vcpus", "bits"),
    [
        ("vcpus=3", 3, [0, 1, 2]),
        ("vcpus=3\nmaxvcpus=5", 5, [0, 1, 2]),
        ("vcpus=3\nmaxvcpus=0", 3, [0, 1, 2]),
        ("vcpus=3\nmaxvcpus=3", 3, [0, 1, 2]),
        ("vcpus=0", None, None),
        ("maxvcpus=5", 5, None),
    ],
)
def test_vcpus(text, max_vcpus, bits):
    build = data(f"{PV}{text}\n")["b_info"]
    assert (build.get("max_vcpus"), build.get("avail_vcpus")) == (max_vcpus, bits)


@pytest.mark.parametrize(
    "text", ["vcpus=3\nmaxvcpus=2", 'maxvcpus="-1"', "vcpus=4294967297", "vcpus=4294967296\nmaxvcpus=9"]
)
def test_maxvcpus_less_than_vcpus(text):
    assert words(f"{PV}{text}\n") == ("xl: maxvcpus < vcpus\n", 1)


@pytest.mark.parametrize("number", ['"-1"', "2147483648", '"-9223372036854775807"'])
def test_vcpus_that_a_c_int_has_as_negative(number):
    number = number.replace("-9223372036854775807", "-9223372030000000000")
    said, status = words(f"{PV}vcpus={number}\n")
    assert status == 1
    assert said.endswith(
        "libxl_cpu_bitmap_alloc: invalid number of cpus provided\nUnable to allocate cpumap\n"
    )


def test_absurd_numbers_of_vcpus_take_no_memory():
    assert refused(f"{PV}vcpus=2147483647\n")[0].hint == "a domain has at most 65536 here"
    assert refused(f'{PV}maxvcpus=2147483647\ncpus="all"\n')[0].line == 5
    assert data(f"{PV}maxvcpus=2147483647\n")["b_info"]["max_vcpus"] == 2147483647


def test_later_xl_gives_a_domain_one_vcpu_at_least():
    for text in ("", "vcpus=0\n", 'vcpus="-5"\n'):
        build = data(PV + text, version=XenVersion(4, 22, 0))["b_info"]
        assert (build["max_vcpus"], build["avail_vcpus"]) == (1, [0])


def test_rtc_and_vncviewer():
    said = (
        'WARNING: ignoring "vncviewer" option. '
        'Use "-V" option of "xl create" to automatically spawn vncviewer.\n'
    )
    assert words(f"{PV}vncviewer=0\n") == (said, 0)
    assert words(f"{PV}vncviewer='x'\n") == ("f:4: warning: parameter `vncviewer' is not a valid number\n", 0)


DEPRECATED = (
    'WARNING: specifying "{}" as an integer is deprecated. Please use the named parameter variant. {}\n'
)


@pytest.mark.parametrize(
    ("base", "key", "number", "name", "stored"),
    [
        (PV, "tsc_mode", "0", "default", None),
        (PV, "tsc_mode", "1", "always_emulate", "always_emulate"),
        (HVM, "tsc_mode", "2", "native", "native"),
        (PVH, "tsc_mode", "3", "native_paravirt", "native_paravirt"),
        (PVH, "timer_mode", "0", "delay_for_missed_ticks", "delay_for_missed_ticks"),
        (HVM, "timer_mode", "1", "no_delay_for_missed_ticks", "no_delay_for_missed_ticks"),
        (HVM, "timer_mode", "2", "no_missed_ticks_pending", "no_missed_ticks_pending"),
        (HVM, "timer_mode", "03", "one_missed_tick_pending", "one_missed_tick_pending"),
    ],
)
def test_modes_as_numbers(base, key, number, name, stored):
    text = f"{base}{key}={number}\n"
    assert words(text) == (DEPRECATED.format(key, f'e.g. {key}="{name}"'), 0)
    assert data(text)["b_info"].get(key) == stored


@pytest.mark.parametrize(
    ("key", "number", "example"),
    [
        ("tsc_mode", "4", ""),
        ("tsc_mode", "-1", ""),
        ("tsc_mode", "4294967296", 'e.g. tsc_mode="default"'),
        ("timer_mode", "4", ""),
        ("timer_mode", "-1", 'e.g. timer_mode="unknown"'),
        ("timer_mode", "4294967298", 'e.g. timer_mode="no_missed_ticks_pending"'),
    ],
)
def test_modes_that_are_no_numbers(key, number, example):
    said = DEPRECATED.format(key, example) + f'ERROR: invalid value {number} for "{key}"\n'
    assert words(f'{HVM}{key}="{number}"\n') == (said, 1)


def test_modes_that_were_appended_are_words():
    said = 'got a tsc mode string: "1"\nERROR: invalid value "1" for "tsc_mode"\n'
    assert words(f"{PV}tsc_mode += 1\n") == (said, 1)


@pytest.mark.parametrize(
    ("base", "key"), [(PV, "tsc_mode"), (HVM, "timer_mode"), (PV, "altp2m"), (HVM, "gfx_passthru")]
)
def test_a_list_is_neither_number_nor_word(base, key):
    said = f"f:4: warning: parameter `{key}' is a list but should be a single value\n"
    assert words(f"{base}{key}=[]\n") == (said, 0)
    assert len(read(f"{base}{key}=[]\n").warnings) == 1


def test_later_xl_does_not_repeat_the_tsc_mode():
    assert words(f'{PV}tsc_mode="native"\n', version=XenVersion(4, 19, 0)) == ("", 0)


def test_timer_mode_of_pv():
    said = 'ERROR: "timer_mode" option is not supported for PV guests.\n'
    assert words(f"{PV}timer_mode=1\n") == (said, 3)
    assert words(f"{PV}timer_mode=[]\n") == (
        "f:4: warning: parameter `timer_mode' is a list but should be a single value\n",
        0,
    )


@pytest.mark.parametrize(
    ("text", "cmdline", "said"),
    [
        ('cmdline="c"', "c", False),
        ('root="/r"', "root=/r", False),
        ('extra="e"', "e", False),
        ('root="/r"\nextra="e"', "root=/r e", False),
        ('root=""\nextra=""', "root= ", False),
        ('cmdline="c"\nroot="/r"', "c", True),
        ('cmdline=""\nextra="e"', "", True),
        ('cmdline=[]\nextra="e"', "e", None),
    ],
)
def test_cmdline(text, cmdline, said):
    assert data(f"{PV}{text}\n")["b_info"]["cmdline"] == cmdline
    if said is not None:
        expected = "Warning: ignoring root= and extra= in favour of cmdline=\n" if said else ""
        assert words(f"{PV}{text}\n") == (expected, 0)


def test_bootloader_args():
    assert differing('bootloader_args=["a b", "", "c"]\n', PV) == {"b_info/bootloader_args": ["a b", "", "c"]}
    assert differing("bootloader_args=[]\n", PV) == {}
    assert differing('bootloader_args=["a", ["b"], "c"]\n', PV) == {"b_info/bootloader_args": ["a"]}
    assert words(f'{PV}bootloader_args=["a", ["b"]]\n') == ("", 0)
    said = (
        'WARNING: Specifying "bootloader_args" as a string is deprecated. Please use a list of arguments.\n'
    )
    assert words(f'{PV}bootloader_args=" a\tb\\n  c "\n') == (said, 0)
    assert differing('bootloader_args=" a\tb\\n  c "\n', PV) == {"b_info/bootloader_args": ["a", "b", "c"]}
    assert words(f'{PV}bootloader_args=" "\n') == (said, -11)
    assert refused(f'{PV}bootloader_args=""\n')


HVMLOADER = (
    'WARNING: you seem to be using "kernel" directive to override HVM guest firmware. Ignore that. '
    'Use "firmware_override" instead if you really want a non-default firmware\n'
)


@pytest.mark.parametrize("kernel", ["hvmloader", "/usr/lib/xen/boot/hvmloader"])
def test_hvmloader_is_no_kernel(kernel):
    text = f'{HVM}kernel="{kernel}"\n'
    assert words(text) == (HVMLOADER, 0)
    assert "kernel" not in data(text)["b_info"]


@pytest.mark.parametrize("kernel", ["hvmloader/", "/hvmloader.gz", "", "myhvmloader"])
def test_other_kernels_of_hvm(kernel):
    text = f'{HVM}kernel="{kernel}"\n'
    assert words(text) == ("", 0)
    assert data(text)["b_info"]["kernel"] == kernel


def test_bios_path_without_bios():
    said = "WARNING: bios_path_override given without specific bios name\n"
    assert words(f'{HVM}bios_path_override="/p"\n') == (said, 0)
    assert words(f'{HVM}bios_path_override="/p"\nbios="ovmf"\n') == ("", 0)


@pytest.mark.parametrize(
    ("firmware", "expected"),
    [
        ("ovmf", {"b_info/type.hvm/bios": "ovmf"}),
        ("SEABIOS", {"b_info/type.hvm/bios": "seabios"}),
        ("rombios", {"b_info/type.hvm/bios": "rombios"}),
        ("uefi", {"b_info/type.hvm/bios": "ovmf"}),
        ("u", {"b_info/type.hvm/bios": "ovmf"}),
        ("", {"b_info/type.hvm/bios": "ovmf"}),
        ("bios", {}),
        ("b", {}),
        ("UEFI", {"b_info/type.hvm/firmware": "UEFI"}),
        ("uefi2", {"b_info/type.hvm/firmware": "uefi2"}),
        ("/path", {"b_info/type.hvm/firmware": "/path"}),
        ("unknown", {}),
    ],
)
def test_firmware_of_hvm(firmware, expected):
    assert differing(f'firmware="{firmware}"\n', HVM) == expected


@pytest.mark.parametrize("firmware", ["pvgrub32", "pvgrub64", "pvgrub", "p", ""])
@pytest.mark.parametrize("guest", ["pv", "pvh"])
def test_firmware_of_others(firmware, guest):
    text = f'name="n"\ntype="{guest}"\nfirmware="{firmware}"\n'
    assert data(text, firmware="/boot")["b_info"]["kernel"] == f"/boot/{firmware}.bin"


def test_what_others_boot():
    name = 'name="n"\n'
    assert words(f"{name}memory=1\n") == ("Neither kernel nor bootloader specified\n", 1)
    assert words(f'{name}bootloader="pygrub"\n') == ("", 0)
    assert words(f'{name}kernel=""\n') == ("", 0)
    assert words(f'{name}firmware="pvgrub32"\nbootloader="pygrub"\n') == ("", 0)
    assert words(f'{PV}firmware="pvgrub32"\n') == ("ERROR: both kernel and firmware specified\n", 1)
    assert words(f'{PV}firmware="x"\n') == ("ERROR: both kernel and firmware specified\n", 1)
    said = "ERROR: only pvgrub{32|64} supported as firmware options\n"
    assert words(f'{name}firmware="pvgrub128"\n') == (said, 1)
    assert words(f'{name}firmware="ovmf"\n') == (said, 1)
    assert words(f"{name}firmware=[]\n")[0].endswith("\nNeither kernel nor bootloader specified\n")


@pytest.mark.parametrize(("size", "kib"), [(256, 262144), (3840, 3932160), (2**44 + 256, 2**54 + 262144)])
def test_mmio_hole(size, kib):
    assert differing(f"mmio_hole={size}\n", HVM) == {"b_info/type.hvm/mmio_hole_memkb": kib}


@pytest.mark.parametrize("size", ["0", "255", "3841", "-1"])
def test_bad_mmio_hole(size):
    assert words(f'{HVM}mmio_hole="{size}"\n') == (f'ERROR: invalid value {size} for "mmio_hole"\n', 1)


def test_generation_id():
    tree = data(f'{HVM}ms_vm_genid="generate"\n', random=lambda size: bytes(range(1, size + 1)))
    assert at(tree, "b_info/type.hvm/ms_vm_genid") == list(range(1, 17))
    assert differing('ms_vm_genid="none"\n', HVM) == {}


def test_mca_caps():
    assert differing('mca_caps=["lmce", "lmce"]\n', HVM) == {"b_info/type.hvm/mca_caps": 1}
    assert differing("mca_caps=[]\n", HVM) == {}
    assert words(f'{HVM}mca_caps=["lmce", "LMCE"]\n') == ("ERROR: unrecognized MCA capability 'LMCE'.\n", 3)
    assert words(f'{HVM}mca_caps="lmce"\n') == ("ERROR: unable to parse mca_caps.\n", 3)
    assert words(f'{HVM}mca_caps=["lmce", ["lmce"]]\n') == ("", -11)
    assert refused(f"{HVM}mca_caps=[[]]\n")


@pytest.mark.parametrize(
    ("number", "stored"), [("0", {}), ("1", "mixed"), ("2", "external"), ("3", "limited")]
)
def test_altp2m_as_number(number, stored):
    assert differing(f"altp2m={number}\n", PV) == (stored and {"b_info/altp2m": stored})
    assert words(f"{PV}altp2m={number}\n") == ("", 0)


@pytest.mark.parametrize("number", ["4", "-1", "4294967297"])
def test_altp2m_that_is_no_number(number):
    assert words(f'{PV}altp2m="{number}"\n') == (f'ERROR: invalid value {number} for "altp2m"\n', 1)


def test_altp2mhvm_is_deprecated():
    said = 'WARNING: Specifying "altp2mhvm" is deprecated. Please use "altp2m" instead.\n'
    assert words(f"{HVM}altp2mhvm=0\n") == (said, 0)
    assert read(f"{HVM}altp2mhvm=0\n").warnings[0].hint == 'write altp2m = "mixed" instead'
    assert words(f"{HVM}altp2mhvm=[]\n")[0].startswith("f:4: warning: parameter `altp2mhvm' is a list")


@pytest.mark.parametrize(
    ("key", "value"),
    [("vmtrace_buf_kb", "x"), ("gic_version", []), ("tee", []), ("vmtrace_buf_kb", [])],
)
def test_keys_that_xl_reads_without_a_word(key, value):
    text = f"{PV}{key}={value!r}\n"
    assert words(text) == ("", 0)
    assert differing(f"{key}={value!r}\n", PV) == {}
    assert len(read(text).warnings) == 1


def test_vif2():
    said = "WARNING: vif2: netchannel2 is deprecated and not supported by xl\n"
    assert words(f"{PV}vif2=[]\n") == (said, 0)
    warning = "f:4: warning: parameter `vif2' is a single value but should be a list\n"
    assert words(f"{PV}vif2=''\n") == (warning, 0)


def test_device_model():
    said = (
        "WARNING: ignoring device_model directive.\n"
        'WARNING: Use "device_model_override" instead if you really want a non-default device_model\n'
    )
    hvm = 'WARNING: Or use "device_model_stubdomain_override" if you  want to enable stubdomains\n'
    other = 'WARNING: ignoring "device_model_stubdomain_override" directive for pv guest\n'
    for base in (PV, PVH, HVM):
        assert words(f'{base}device_model="qemu-dm"\n') == (said, 0)
    assert words(f'{HVM}device_model="/lib/stubdom-dm.sh"\n') == (said + hvm, 0)
    assert words(f'{PV}device_model="stubdom-dm"\n') == (said + other, 0)
    assert words(f'{PVH}device_model="stubdom-dm"\n') == (said + other, 0)
    assert differing('device_model="qemu-dm"\n', HVM) == {}


def test_device_model_override():
    said = "WARNING: device model override given without specific DM version\n"
    assert words(f'{PV}device_model_override="/q"\n') == (said, 0)
    assert differing('device_model_override="/q"\ndevice_model_version="qemu-xen"\n', HVM) == {
        "b_info/device_model": "/q",
        "b_info/device_model_version": "qemu_xen",
    }


@pytest.mark.parametrize("key", ["device_model_args", "device_model_args_pv", "device_model_args_hvm"])
def test_device_model_args(key):
    field = key.replace("device_model_args", "b_info/extra")
    assert differing(f'{key}=["-x", "a b"]\n', PV) == {field: ["-x", "a b"]}
    assert differing(f'{key}=["-x", [], "y"]\n', PV) == {field: ["-x"]}
    warning = f"f:4: warning: parameter `{key}' is a single value but should be a list\n"
    assert words(f"{PV}{key}='-x'\n") == (f"{warning}xl: Unable to parse {key}.\n", 3)
    (error,) = refused(f"{PV}{key}='-x'\n")
    assert (error.line, error.hint) == (4, "put it in [ ]")


VNC = """
vnclisten="::1"
vncpasswd="p"
vncdisplay=7
vncunused=0
sdl=1
opengl=0
display=":0"
xauthority="/x"
keymap="de"
"""
VFB = {
    "devid": 0,
    "vnc": {"enable": "True", "listen": "::1", "passwd": "p", "display": 7, "findunused": "False"},
    "sdl": {"enable": "True", "opengl": "False", "display": ":0", "xauthority": "/x"},
    "keymap": "de",
}


def test_vnc_of_pv_makes_a_vfb():
    tree = data(f"{PV}vnc=2\n{VNC}")
    assert (tree["vfbs"], tree["vkbs"]) == ([VFB], [{"devid": 0}])
    tree = data(f'{PV}vnc=1\nvkb=["backend-type=qemu"]\n')
    assert tree["vfbs"] == [{"devid": 0, "vnc": {"enable": "True"}, "sdl": {}}]
    assert tree["vkbs"] == [{"devid": 0}, {"devid": 1, "backend_type": "qemu"}]


@pytest.mark.parametrize("text", ["", "vnc=0\n", "vnc='x'\n"])
def test_pv_without_vnc_has_no_vfb(text):
    assert differing(text + VNC, PV) == {}
    warned = {found.message for found in read(PV + text + VNC).warnings}
    assert "vnclisten has no effect on a PV guest without vnc = 1" in warned
    assert "keymap has no effect on a PV guest without vnc = 1" in warned


def test_pv_without_vnc_does_not_read_the_rest():
    assert words(f"{PV}vncdisplay='x'\n") == ("", 0)
    warning = "f:5: warning: parameter `vncdisplay' is not a valid number\n"
    assert words(f"{PV}vnc=1\nvncdisplay='x'\n") == (warning, 0)


def test_vfb_comes_before_vnc():
    tree = data(f'{PV}vnc=1\nvnclisten="x"\nvfb=["vnc=0"]\n')
    assert tree["vfbs"] == [{"devid": 0, "vnc": {"enable": "False"}, "sdl": {}}]
    assert tree["vkbs"] == [{"devid": 0}]
    assert words(f"{PV}vncdisplay='x'\nvfb=['']\n")[0].endswith("`vncdisplay' is not a valid number\n")


def test_an_empty_list_of_vfbs_is_none():
    assert len(data(f"{PV}vnc=1\nvfb=[]\n")["vfbs"]) == 1


def test_pvh_reads_vnc_in_vain():
    assert differing("vnc=1\n" + VNC, PVH) == {}
    assert words(f"{PVH}vncdisplay='x'\n")[0].endswith("`vncdisplay' is not a valid number\n")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('vnclisten="1.2.3.4:5"\nvncdisplay=1\n', False),
        ('vnclisten="1.2.3.4:5"\nvncdisplay=0\n', True),
        ('vnclisten="1.2.3.4:5"\n', True),
        ('vnclisten="1.2.3.4"\nvncdisplay=1\n', True),
    ],
)
def test_display_in_vnclisten(text, good):
    said = "ERROR: Display specified both in vnclisten and vncdisplay!\n"
    assert words(HVM + text) == (("", 0) if good else (said, 1))
    assert words(PVH + text) == ("", 0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("stdvga=1", "std"),
        ("stdvga=0", "cirrus"),
        ('stdvga=1\nvga="qxl"', "qxl"),
        ("vga=[]\nstdvga=1", "std"),
    ],
)
def test_stdvga(text, kind):
    assert differing(f"{text}\n", HVM) == {"b_info/type.hvm/vga/kind": kind}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", {"gfx_passthru": "False"}),
        ("1", {"gfx_passthru": "True"}),
        ("2", {"gfx_passthru": "True"}),
        ('"default"', {"gfx_passthru": "True"}),
        ('"IGD"', {"gfx_passthru": "True", "gfx_passthru_kind": "igd"}),
    ],
)
def test_gfx_passthru(value, expected):
    assert differing(f"gfx_passthru={value}\n", HVM) == {
        f"b_info/type.hvm/{k}": v for k, v in expected.items()
    }


@pytest.mark.parametrize("key", ["serial", "usbdevice"])
def test_one_or_many(key):
    assert differing(f'{key}=["pty", "null"]\n', HVM) == {f"b_info/type.hvm/{key}_list": ["pty", "null"]}
    assert differing(f"{key}=[]\n", HVM) == {}
    assert differing(f'{key}=["pty", []]\n', HVM) == {f"b_info/type.hvm/{key}_list": ["pty"]}
    assert words(f'{HVM}{key}="pty"\n') == words(f'{HVM}{key}=["pty"]\n') == ("", 0)


def test_msr_relaxed():
    said = (
        "WARNING: msr_relaxed will be removed in future versions.\n"
        "If it fixes an issue you are having please report to xen-devel@lists.xenproject.org.\n"
    )
    assert words(f"{PV}msr_relaxed=0\n") == (said, 0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("strategy=host", ""),
        ("strategy=host,policy=strict", ""),
        ("strategy=host,policy=RELAXED", ""),
        ("policy=relaxed", ""),
        ("policy=invalid", ""),
        ("strategy=guest", "Unknown RDM strategy option: guest"),
        ("strategy=", "Unknown RDM strategy option: "),
        ("strategy=host,policy=some", "Unknown RDM policy: some"),
        ("strategy=host,mode=some", "Unknown RDM state option: mode"),
        ("none,strategy=host", "Unknown RDM state option: none,strategy"),
        ("none", ""),
        ("", ""),
        ("strategy=host,", ""),
    ],
)
def test_rdm(value, said):
    text = f'rdm="{value}"\n'
    assert words(HVM + text) == words(PV + text) == (said, 0)
    stored = value in {"strategy=host", "strategy=host,policy=some"}
    assert differing(text, HVM) == ({"b_info/type.hvm/rdm/strategy": "host"} if stored else {})
    assert differing(text, PV) == {}
    assert read(HVM + text).warnings


def test_pci_gives_pv_the_memory_map_of_the_host():
    assert at(data(f"{PV}pci=['01:00.0']\ne820_host=0\n"), "b_info/type.pv/e820_host") == "True"
    assert "e820_host" not in at(data(f"{PV}pci=[]\n"), "b_info/type.pv")


# --- all together ---------------------------------------------------------------------------------------


def test_keys_come_in_xls_order():
    given = "vpmu='a'\nmemory='b'\nvif='c'\ndisk='d'\nhap='e'\nvideoram='f'\n"
    said, status = words(PV + given)
    assert status == 0
    assert [line.split("`")[1].split("'")[0] for line in said.splitlines()] == [
        "hap",
        "memory",
        "videoram",
        "disk",
        "vif",
        "vpmu",
    ]


def test_xl_says_nothing_after_its_first_error_but_we_do():
    text = 'name="n"\nkernel="/k"\nvpmu="x"\non_crash="y"\nhap="z"\nuuid="u"\ntype="t"\n'
    assert words(text) == ("Invalid domain type t.\n", 1)
    assert [error.line for error in refused(text)] == [4, 6, 7]


def test_the_order_of_all_keys():
    order = list(KEYS)
    for earlier, later in [
        ("init_seclabel", "type"),
        ("name", "uuid"),
        ("maxvcpus", "vuart"),
        ("vnuma", "cpus"),
        ("max_grant_version", "on_poweroff"),
        ("on_soft_reset", "e820_host"),
        ("dtdev", "passthrough"),
        ("rtc_timeoffset", "vncviewer"),
        ("nestedhvm", "firmware_override"),
        ("firmware", "altp2m"),
        ("iomem", "disk"),
        ("disk", "p9"),
        ("p9", "vtpm"),
        ("vtpm", "vdispl"),
        ("vdispl", "pvcalls"),
        ("pvcalls", "vsnd"),
        ("vsnd", "channel"),
        ("channel", "vif"),
        ("vif", "vfb"),
        ("vfb", "usbctrl"),
        ("usbdev", "cpuid"),
        ("cpuid", "device_model"),
        ("device_model_args_hvm", "vnc"),
        ("xauthority", "dm_restrict"),
        ("dm_restrict", "vga"),
        ("vendor_device", "gic_version"),
        ("tee", "vkb"),
        ("msr_relaxed", "vpmu"),
    ]:
        assert order.index(earlier) < order.index(later)
    assert order[-1] == "vpmu"
    assert not KEYS.keys() & LATER.keys()


def test_hosts_and_xl_conf_have_a_say():
    conf = XlConf(
        run_hotplug_scripts=False,
        claim_mode=False,
        max_grant_frames=1,
        max_maptrack_frames=2,
        max_grant_version=3,
        blkdev_start="xvdz",
    )
    tree = data(f"{PV}max_grant_version=1\n", conf=conf)
    assert tree["c_info"]["run_hotplug_scripts"] == "False"
    build = tree["b_info"]
    assert [build[f"max_{name}"] for name in ("grant_frames", "maptrack_frames", "grant_version")] == [
        1,
        2,
        1,
    ]
    assert (build["claim_mode"], build["blkdev_start"]) == ("False", "xvdz")


@pytest.mark.parametrize(
    ("base", "key"), [(PV, "vga"), (PVH, "hpet"), (HVM, "e820_host"), (PV, "pvshim"), (PV, "spice")]
)
def test_keys_of_other_guests_have_no_effect(base, key):
    text = f"{base}{key}=1\n"
    (warning,) = read(text).warnings
    assert "has no effect on a" in warning.message
    assert (warning.line, warning.column) == (text.count("\n"), 1)
    assert words(text) == ("", 0)
    assert words(f"{base}{key}=[]\n") == ("", 0)


def test_unknown_keys():
    parsed = read(f"{PV}onpoweroff='x'\nmemroy=1\nzzz=1\nvirtio=[]\n")
    assert parsed.unknown == {"onpoweroff", "memroy", "zzz", "virtio"}
    assert parsed.keys == parsed.unknown | {"name", "uuid", "kernel"}
    assert [(found.line, found.message, found.hint) for found in parsed.warnings] == [
        (4, "xl does not know onpoweroff", "did you mean on_poweroff?"),
        (5, "xl does not know memroy", "did you mean memory?"),
        (6, "xl does not know zzz", None),
        (7, "virtio is not read", "it came with Xen 4.18"),
    ]
    (warning,) = read(f"{PV}virtio=[]\n", version=XenVersion(4, 18, 0)).warnings
    assert warning.hint is None
    assert suggestion("x" * 1000) is None


def test_builder_and_stdvga_are_deprecated():
    messages = [found.message for found in read("name='n'\nbuilder='hvm'\nstdvga=1\n").warnings]
    assert messages == ["builder is deprecated", "stdvga is deprecated"]


def test_quiet_and_empty():
    assert xl_verdict(PV.encode(), "f", quiet=True).words == b""
    assert xl_verdict(b"", "d/f").words == b"Parsing config from d/f\nDomain name must be specified.\n"


def test_settings_after_the_file():
    assert with_settings(b"a=1", []) == b"a=1"
    assert with_settings(b"a=1", ["b=2", "c=['\udcff']"]) == b"a=1\nb=2\nc=['\xff']\n\n"
    parsed = parse_config(with_settings(PV.encode(), ["memory=1", "extra+=' x';cap=2"]), "f")
    assert parsed.config.b_info.target_memkb == 1024
    assert parsed.config.b_info.sched_params.cap == 2


def test_a_file_may_not_be_huge():
    with pytest.raises(ConfigError, match="more than 16 MiB"):
        parse_config(b"\n" * (2**24 + 1), "f")
    with pytest.raises(ConfigError):
        xl_verdict(b"\n" * (2**24 + 1), "f")


def test_errors_in_the_language_come_first_and_alone():
    found = refused("memory=\nvcpus=\nuuid='x'\n")
    assert [error.line for error in found] == [1, 2]


def test_bytes_that_are_no_utf8():
    assert parse_config(b'name="\xff"\nkernel="\xc3\xa9"', "f").config.c_info.name == "\udcff"
    assert xl_verdict(b'name="\xff"\ntype="\xfe"', "f").words.endswith(b"Invalid domain type \xfe.\n")


def test_the_defaults_of_pci_devices_are_read_before_rdm():
    text = 'name="x"\nkernel="k"\npci_seize="often"\nrdm="strategy=guest"\n'
    seen, _ = words(text)
    assert seen.index("pci_seize") < seen.index("Unknown RDM strategy")


def test_words_go_on_after_cpus_without_vcpus():
    assert "vif2" in words('name="x"\nkernel="k"\ncpus="1"\nvif2=["a"]\n')[0]
