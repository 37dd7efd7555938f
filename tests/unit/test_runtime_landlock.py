"""A child that is confined to some folders."""

import ctypes

import pytest
from children import child, told

_CREATE_RULESET, _VERSION = 444, 1

pytestmark = pytest.mark.skipif(
    ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION) < 1, reason="this kernel has no Landlock"
)

CONFINE = """
from xenwire.runtime.landlock import confine_files
from xenwire.runtime.privileges import limit
home = Path(os.environ["HOME_OF_TEST"])
limit([])
held = open(home / "secret/open")
assert confine_files([home / "read", Path(sys.prefix)], [home / "write", home / "file", home / "missing"])
"""


@pytest.fixture
def home(short_tmp):
    for name in ("read", "write", "secret"):
        (short_tmp / name).mkdir()
        (short_tmp / name / "open").write_text("text")
    (short_tmp / "file").write_text("text")
    return short_tmp


def test_files(home):
    assert told(
        CONFINE
        + """
def listen(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))

tell({
    "read": tried((home / "read/open").read_text),
    "list": tried(lambda: os.listdir(home / "read")),
    "change what may be read": tried(lambda: (home / "read/open").write_text("x")),
    "remove what may be read": tried((home / "read/open").unlink),
    "write": tried(lambda: (home / "write/new").write_text("x")),
    "make a folder": tried((home / "write/folder").mkdir),
    "rename": tried(lambda: (home / "write/new").rename(home / "write/newer")),
    "link": tried(lambda: os.link(home / "write/newer", home / "write/newest")),
    "listen": tried(lambda: listen(home / "write/socket")),
    "remove": tried((home / "write/newer").unlink),
    "make a link": tried(lambda: (home / "write/symlink").symlink_to("/")),
    "make a fifo": tried(lambda: os.mkfifo(home / "write/fifo")),
    "one file": tried(lambda: (home / "file").write_text("x")),
    "another": tried((home / "secret/open").read_text),
    "make another": tried(lambda: (home / "secret/new").write_text("x")),
    "what is open": tried(held.read),
    "run": tried(lambda: subprocess.run(["/bin/true"])),
})
""",
        HOME_OF_TEST=str(home),
    ) == {
        "read": "ok",
        "list": "ok",
        "change what may be read": "EACCES",
        "remove what may be read": "EACCES",
        "write": "ok",
        "make a folder": "ok",
        "rename": "ok",
        "link": "ok",
        "listen": "ok",
        "remove": "ok",
        "make a link": "EACCES",
        "make a fifo": "EACCES",
        "one file": "ok",
        "another": "EACCES",
        "make another": "EACCES",
        "what is open": "ok",
        "run": "EACCES",
    }


def test_threads_that_come_later(home):
    assert told(
        CONFINE
        + """
found = []
thread = threading.Thread(target=lambda: found.append(tried((home / "secret/open").read_text)))
thread.start()
thread.join()
tell(found)
""",
        HOME_OF_TEST=str(home),
    ) == ["EACCES"]


def test_a_second_time_forbids_more(home):
    assert told(
        CONFINE
        + """
assert confine_files([home / "read"], [])
tell([tried((home / "read/open").read_text), tried((home / "write/open").read_text)])
""",
        HOME_OF_TEST=str(home),
    ) == ["ok", "EACCES"]


def test_without_no_new_privileges_only_root_may(home):
    status, value = child("""
from xenwire.errors import XenwireError
from xenwire.runtime.landlock import confine_files
if os.geteuid() == 0:
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
try:
    confine_files([Path("/")], [])
except XenwireError as error:
    tell(str(error))
""")
    assert (status, value) == (0, "cannot restrict files: Operation not permitted")
