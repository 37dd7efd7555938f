"""The units that `xenwire serve --unit` prints."""

import configparser
import shutil
import subprocess
from importlib.resources import files

import pytest

from xenwire.cli import run

UNITS = ("xenwire-serve.service", "xenwire-serve-qemu.service", "xenwire-store.service")
MOST_EXPOSED = 2.5  # as systemd rates it, from 0 to 10

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.fixture
def unit(capfd):
    def unit(name):
        assert run(["serve", "--unit", name]) == 0
        return capfd.readouterr().out

    return unit


def values(text):
    """Give the settings of a unit; of those that stand there more than once, the last."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.mark.parametrize("name", UNITS)
def test_it_is_the_packaged_file(unit, name):
    assert unit(name) == files("xenwire.daemon").joinpath("data", name).read_text()


@pytest.mark.parametrize("name", UNITS)
def test_a_restart_loses_nothing(unit, name):
    service = values(unit(name))["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert service["RuntimeDirectoryPreserve"] == "yes"
    assert service["SuccessExitStatus"] == "143"


def test_one_hardening_for_both_hosts(unit):
    xen, qemu = (values(unit(name))["Service"] for name in UNITS[:2])
    assert {key for key in xen if xen[key] != qemu.get(key)} == {"ExecStart"}


def test_before_and_after(unit):
    wanted = values(unit(UNITS[0]))["Unit"]
    assert {"xenstored.service", "xen-init-dom0.service"} <= set(wanted["After"].split())
    assert "xendomains.service" in wanted["Before"].split()


@analyze
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_it(unit, name, tmp_path):
    for each in UNITS:
        (tmp_path / each).write_text(unit(each))
    verify = ["systemd-analyze", "verify", "--man=no", tmp_path / name]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rate = ["systemd-analyze", "security", "--offline=true", "--no-pager", tmp_path / name]
    done = subprocess.run(rate, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("systemd-analyze cannot rate files")
    (line,) = [line for line in done.stdout.splitlines() if "Overall exposure level" in line]
    assert float(line.rpartition(": ")[2].split()[0]) <= MOST_EXPOSED


def test_no_such_unit(capfd):
    assert run(["serve", "--unit", "other.service"]) == 2


def test_plain_qemu_as_another_user(capfd):
    assert run(["serve", "--host", "qemu:", "--user", "nobody"]) == 2
    assert "they belong to whoever runs the domains" in capfd.readouterr().err
