"""What stock xl of Xen 4.17 has said, and in which phase it was."""

import os

import pytest

from xenwire.errors import NotFound, XenwireError
from xenwire.hosts import explained
from xenwire.xl import phases
from xenwire.xl.phases import failed_phase
from xenwire.xl.words import failure

NO_MODEL = b"""\
libxl: error: libxl_dm.c:2909:libxl__spawn_local_dm: Domain 1:device model /root/none is not executable: \
No such file or directory
libxl: error: libxl_create.c:1896:domcreate_devmodel_started: Domain 1:device model did not start: -3
"""
MODEL_DIES = b"""\
libxl: error: libxl_dm.c:3161:device_model_spawn_outcome: Domain 2:domain 2 device model: spawn failed (rc=-3)
libxl: error: libxl_dm.c:3381:device_model_postconfig_done: Domain 2:Post DM startup configs failed, rc=-3
libxl: error: libxl_create.c:1896:domcreate_devmodel_started: Domain 2:device model did not start: -3
"""
NO_MEMORY = b"""\
xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory for domain: Out of memory
libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot allocate memory
libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 5:cannot (re-)build domain: -3
"""
NO_DISK = b"""\
libxl: error: libxl_device.c:455:libxl__device_disk_set_backend: Disk vdev=hda failed to stat: \
/root/none.img: No such file or directory
libxl: error: libxl_create.c:1318:initiate_domain_create: Domain 7:Unable to set disk defaults for disk 0
"""
BOOTLOADER = b"""\
libxl: error: libxl_bootloader.c:767:bootloader_finished: Domain 9:bootloader failed - consult logfile \
/var/log/xen/bootloader.9.log
libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: bootloader [211] exited with error status 7
libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 9:cannot (re-)build domain: -3
"""
SCRIPT = b"""\
libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: /etc/xen/scripts/vif-bridge online [5] exited \
with error status 1
"""
SLOW_SCRIPT = b"""\
libxl: error: libxl_aoutils.c:541:async_exec_timeout: killing execution of /etc/xen/scripts/vif-bridge \
online because of timeout
"""
MISLEADING = NO_DISK.replace(b"/root/none.img", b"/etc/xen/scripts/device model")
SYNTAX = b"f.cfg:1: config parsing error near `=': syntax error\n"


@pytest.mark.parametrize(
    ("words", "name", "log"),
    [
        (NO_MODEL, "starting its device model", "qemu-dm-f.log"),
        (MODEL_DIES, "starting its device model", "qemu-dm-f.log"),
        (NO_MEMORY, "building it", None),
        (NO_DISK, "setting up its devices", None),
        (SCRIPT, "setting up its devices", "xen-hotplug.log"),
        (SLOW_SCRIPT, "setting up its devices", "xen-hotplug.log"),
        (MISLEADING, "setting up its devices", None),
        (BOOTLOADER, "running its bootloader", "bootloader.9.log"),
        (SYNTAX, "reading its configuration", None),
    ],
)
def test_the_first_error_tells(words, name, log):
    lines = ["Parsing config from f.cfg", *words.decode().splitlines()]
    assert failed_phase(lines, "f") == (name, log and f"/var/log/xen/{log}")


def test_new_words_tell_nothing():
    assert failed_phase(["libxl: error: libxl_new.c:1:f: Domain 1:new"], "f") is None
    assert failed_phase([], "f") is None


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.setattr(phases, "LOGS", str(tmp_path))
    return tmp_path


def explain(words, name="f", since=0.0):
    error = failure("cannot create domain 'f'", words, "")
    explained.explain(error, name, since)
    return error


def test_the_end_of_the_log_is_shown(logs):
    log = logs / "qemu-dm-f.log"
    log.write_text("old\n" * 20 + "q: -bogus: invalid option\n")
    error = explain(MODEL_DIES)
    assert error.reason.startswith(
        "starting its device model: domain 2 device model: spawn failed (rc=-3)\nold\n"
    )
    assert error.reason.endswith("old\nq: -bogus: invalid option")
    assert error.reason.count("old") == 4
    assert error.hint == f"see its log: {log}"
    assert error.context["phase"] == "starting its device model"


def test_a_log_of_an_earlier_one_is_not(logs):
    log = logs / "qemu-dm-f.log"
    log.write_text("old\n")
    os.utime(log, (1000, 1000))
    error = explain(MODEL_DIES, since=1001)
    assert "old" not in error.reason
    assert error.hint is None


def test_a_name_leads_to_no_other_folder(logs):
    (logs / "qemu-dm-x").mkdir()
    (logs / "qemu-dm-x" / "f.log").write_text("words\n")
    assert explain(MODEL_DIES, name="x/f").hint is None


def test_a_log_that_cannot_be_read(logs):
    (logs / "qemu-dm-f.log").mkdir()
    assert explain(MODEL_DIES).reason.endswith("spawn failed (rc=-3)")


def test_what_xls_words_mean_stays(logs):
    error = explain(NO_DISK)
    assert isinstance(error, NotFound)
    assert error.reason.startswith("setting up its devices: Disk vdev=hda failed to stat")
    assert "dom0's" in error.hint


def test_an_error_without_words_stays():
    error = XenwireError("no", reason="why")
    explained.explain(error, "f", 0)
    assert (error.reason, error.context) == ("why", {})
