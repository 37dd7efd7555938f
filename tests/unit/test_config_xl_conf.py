"""xl.conf (xen: tools/xl/xl.c)."""

import pytest

from xenwire.config.diagnostics import ConfigError
from xenwire.config.xl.conf import read_xl_conf
from xenwire.config.xl.facts import XlConf

STOCK = b"""\
## Global XL config file ##
#autoballoon="auto"
#vif.default.script="vif-bridge"
"""


@pytest.mark.parametrize("data", [b"", STOCK])
def test_a_stock_file_changes_nothing(data):
    assert read_xl_conf(data, "xl.conf") == XlConf()


def test_all_settings():
    data = b"""
run_hotplug_scripts=0
claim_mode=0
max_grant_frames=64
max_maptrack_frames=0x400
max_grant_version=2
blkdev_start="xvdz"
vif.default.script="vif-route"
vif.default.bridge="br1"
vif.default.gatewaydev="eth0"
vif.default.backend="net"
lockfile="/run/lock"
"""
    assert read_xl_conf(data, "xl.conf") == XlConf(
        run_hotplug_scripts=False,
        claim_mode=False,
        max_grant_frames=64,
        max_maptrack_frames=1024,
        max_grant_version=2,
        blkdev_start="xvdz",
        vif_script="vif-route",
        vif_bridge="br1",
        vif_gatewaydev="eth0",
        vif_backend="net",
    )


def test_old_names():
    conf = read_xl_conf(b"vifscript='old'\ndefaultbridge='br0'\n", "f")
    assert (conf.vif_script, conf.vif_bridge) == ("old", "br0")
    conf = read_xl_conf(b"vif.default.script=''\nvifscript='old'\n", "f")
    assert conf.vif_script == ""


@pytest.mark.parametrize("value", [b"'yes'", b"[]", b"''"])
def test_what_is_no_number_counts_as_absent(value):
    assert read_xl_conf(b"claim_mode=%s\n" % value, "f").claim_mode is True


def test_numbers_are_stored_in_a_c_int():
    assert read_xl_conf(b"claim_mode=4294967296\n", "f").claim_mode is False
    assert read_xl_conf(b"claim_mode='-1'\n", "f").claim_mode is True


@pytest.mark.parametrize("key", [b"max_grant_frames", b"max_maptrack_frames", b"max_grant_version"])
@pytest.mark.parametrize("value", [b"'-1'", b"2147483648", b"'x'", b"[]"])
def test_bad_limits_are_errors(key, value):
    with pytest.raises(ConfigError) as error:
        read_xl_conf(b"\n%s=%s\n" % (key, value), "f")
    assert [found.line for found in error.value.diagnostics] == [2]


def test_errors_in_the_language():
    with pytest.raises(ConfigError):
        read_xl_conf(b"autoballoon=off\n", "f")
