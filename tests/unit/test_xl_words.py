import pytest

from xenwire.errors import Conflict, Denied, NotFound, XenwireError
from xenwire.xl.words import errors_in, failure, lines_of

NAME_TAKEN = b"""\
libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 2:Domain with name "guest" already exists.
libxl: error: libxl_create.c:1296:initiate_domain_create: Domain 2:cannot make domain: -6
libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain 2:Non-existant domain
libxl: error: libxl_domain.c:1137:domain_destroy_callback: Domain 2:Unable to destroy guest
libxl: error: libxl_domain.c:1064:domain_destroy_cb: Domain 2:Destruction of domain failed
"""
NO_KERNEL = b"""\
xc: error: panic: xg_dom_core.c:205: failed to open file '/none': No such file or directory: Internal error
libxl: error: libxl_dom.c:646:libxl__build_pv: xc_dom_kernel_file failed: No such file or directory
libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 4:cannot (re-)build domain: -3
"""
NO_MEMORY = b"""\
xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory for domain: Out of memory
libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot allocate memory
"""
NO_DISK = b"""\
libxl: error: libxl_device.c:455:libxl__device_disk_set_backend: Disk vdev=xvda \
failed to stat: /root/none.img: No such file or directory
"""
NO_DOMAIN = (
    b"libxl: error: libxl_domain.c:587:libxl_domain_pause: Domain 77:Pausing domain: No such process\n"
)


@pytest.mark.parametrize(
    ("words", "group", "reason"),
    [
        (NAME_TAKEN, Conflict, 'Domain with name "guest" already exists.'),
        (NO_KERNEL, NotFound, "failed to open file '/none': No such file or directory"),
        (NO_MEMORY, XenwireError, "can't allocate low memory for domain: Out of memory"),
        (NO_DISK, NotFound, "Disk vdev=xvda failed to stat: /root/none.img: No such file or directory"),
        (NO_DOMAIN, NotFound, "Pausing domain: No such process"),
        (b"nope is an invalid domain identifier (rc=-6)\n", NotFound, None),
        (b"Error: Domain '1' does not exist.\n", NotFound, "Domain '1' does not exist."),
        (b"xencall: error: Could not obtain handle: Permission denied\n", Denied,
         "Could not obtain handle: Permission denied"),
        (b"something else\n", XenwireError, "something else"),
        (b"\n", XenwireError, "exited with status 1"),
    ],
)  # fmt: skip
def test_its_words_become_one_of_our_errors(words, group, reason):
    error = failure("cannot do it", words, "exited with status 1")
    assert type(error) is group
    assert error.message == "cannot do it"
    assert error.reason == (reason or words.decode().strip())


def test_only_errors_are_told_of_a_command_that_succeeded():
    words = (
        b"Parsing config from guest.cfg\n"
        b"libxl: warning: libxl_dom.c:1:f: Domain 3:odd\n"
        b"libxl: error: libxl_console.c:271:libxl__device_console_add: Domain 3:Primary console has invalid "
        b"configuration\n"
    )
    assert errors_in(lines_of(words)) == ["Primary console has invalid configuration"]


def test_what_is_shown_is_printable_and_bounded():
    lines = lines_of(b"a\x1b[2Jb\xff\n\n" + b"x" * 5000 + b"\n" + b"y\n" * 5000)
    assert lines[0] == "a [2Jb\N{REPLACEMENT CHARACTER}"
    assert len(lines[1]) == 500
    assert len(lines) < 1001
