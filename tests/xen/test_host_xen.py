"""Domains of a real Xen host, through the command line in its dom0, beside xl."""

import asyncio
import json
import shutil

import pytest

from xenwire.images import build_dom0
from xenwire.images.cpio import Entry, archive
from xenwire.lab.package import install

pytestmark = [pytest.mark.xen, pytest.mark.timeout(900)]

INIT = b"""\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/hvc0 >/dev/hvc0 2>&1
echo "guest is up"
exec /bin/busybox sh
"""

CONFIG = """\
name = "guest"
memory = 128
kernel = "/root/vmlinux"
ramdisk = "/root/initrd"
extra = "console=hvc0 quiet"
on_crash = "preserve"
"""

CONSOLE = """\
echo 'echo he""llo' | xenwire console guest >/root/seen &
while ! grep -q '^hello' /root/seen; do sleep 0.2; done
kill $!
cat /root/seen
"""

PROGRAM = """\
import asyncio, xenwire

async def main():
    async with xenwire.connect() as host:
        domain = await host.find("a guest")
        print(host.uri, await domain.console())

asyncio.run(main())
"""

CONCURRENT = """\
import asyncio
from xenwire.xenstore import Store

async def main():
    async with Store.connect("/dev/xen/xenbus") as store:
        paths = [f"/tool/xenwire-test/{number}" for number in range(100)]
        await asyncio.gather(*(store.write(path, path * 9) for path in paths))
        values = await asyncio.gather(*(store.read_text(path) for path in paths))
        await store.rm("/tool/xenwire-test")
        print(values == [path * 9 for path in paths])

asyncio.run(main())
"""

INTERRUPT = """\
env --default-signal=INT xenwire create guest.cfg &
while [ "$(xl list | wc -l)" = 2 ]; do sleep 0.05; done
pgrep -x xl >/dev/null && echo building
kill -INT $!
wait $!
echo $?
"""


@pytest.fixture(scope="module")
def guest(lab, tmp_path_factory):
    """Put this Xenwire, and a guest that is a shell, into dom0."""
    folder = tmp_path_factory.mktemp("guest")

    async def prepare():
        async with lab.session() as session:
            await install(session)
            await session.get("/usr/bin/busybox", folder / "busybox")
            busybox = (folder / "busybox").read_bytes()
            (folder / "initrd").write_bytes(
                archive(
                    [
                        *map(Entry.folder, ("bin", "dev", "proc")),
                        Entry.char_device("dev/console", 5, 1),
                        Entry.file("bin/busybox", busybox, executable=True),
                        Entry.file("init", INIT, executable=True),
                    ]
                )
            )
            await session.put(folder / "initrd", "/root/initrd")
            image = await build_dom0(lab.profile.release, print)
            await session.put(image.kernel, "/root/vmlinux")

    asyncio.run(prepare())
    shutil.rmtree(folder)


@pytest.fixture
async def ok(dom0, guest):
    """Run a command that has to succeed, and give its output. Domains that a test leaves are destroyed."""

    async def run(*argv, **options):
        status, out, err = await dom0(*argv, cwd="/root", timeout=300, **options)
        assert status == 0, f"{argv}: {out}{err}"
        return out

    yield run
    await run("sh", "-c", "for id in $(xenstore-list /local/domain); do [ $id = 0 ] || xl destroy $id; done")


@pytest.fixture
def refused(dom0, guest):
    """Run a xenwire command that has to fail, and give its exit status and its error."""

    async def run(*argv):
        status, _, err = await dom0("xenwire", *argv, cwd="/root", timeout=300)
        return int(status), err

    return run


@pytest.fixture
def write(ok):
    """Write a configuration in dom0."""

    async def run(name="guest", text=CONFIG):
        await ok("sh", "-c", f"cat >/root/{name}.cfg", stdin=text.encode())

    return run


async def listed(ok, *names):
    domains = json.loads(await ok("xenwire", "list", *names, "--json"))
    return {domain["name"]: domain for domain in domains}


async def flags(ok, name):
    return (await ok("xl", "list", name)).splitlines()[1].split()[-2]


async def assert_clean(ok):
    """No domain but Domain-0, nothing of another in the store or in libxl's files, no xl that goes on."""
    assert (await ok("xl", "list")).count("\n") == 2
    left = await ok("sh", "-c", "xenstore-list /libxl; xenstore-list /vm; xenstore-list /local/domain; true")
    assert left == "0\n"
    assert "domid" not in await ok("sh", "-c", "ls /var/lib/xen | grep -v '^userdata-d.0.' || true")
    assert await ok("sh", "-c", "pgrep -x xl || true") == ""


@pytest.mark.smoke
async def test_a_domain_from_its_creation_to_its_end(ok, write):
    await write()
    out = await ok("xenwire", "create", "guest.cfg", "--paused", "--json")
    created = json.loads(out)
    assert created["state"] == "paused"

    domains = await listed(ok)
    assert list(domains) == ["Domain-0", "guest"]
    assert domains["guest"] == created
    assert (domains["Domain-0"]["state"], created["memory"], created["vcpus"]) == ("running", 128 << 20, 1)
    assert await flags(ok, "guest") == "--p---"

    await ok("xl", "pause", "guest")  # twice now
    await ok("xenwire", "unpause", "guest")
    assert "guest is up" in await ok("sh", "-c", CONSOLE)
    assert "p" not in await flags(ok, "guest")

    for _ in range(2):
        await ok("xenwire", "pause", str(created["domid"]))
    await ok("xl", "unpause", "guest")  # one is enough
    assert "p" not in await flags(ok, "guest")

    await ok("xenwire", "destroy", created["uuid"])
    await assert_clean(ok)


async def test_a_domain_that_xl_made(ok, write):
    id_ = "01234567-89ab-cdef-0123-456789abcdef"
    await write(
        text=f'{CONFIG}uuid = "{id_}"\nchannel = [ "connection=pty,name=a", "connection=pty,name=b" ]\n'
    )
    await ok("xl", "create", "-q", "-p", "guest.cfg")
    assert (await listed(ok, id_[:6]))["guest"]["uuid"] == id_
    (channel,) = json.loads(await ok("xenwire", "channel", "list", "guest", "--json"))
    assert (channel["name"], channel["kind"]) == ("b", "pty")  # xl loses the first one
    assert channel["place"].startswith("/dev/pts/")

    await ok("xenwire", "unpause", "guest")
    assert "hello" in await ok("sh", "-c", CONSOLE)
    crash = "echo 'echo c >/proc/sysrq-trigger' | timeout 300 xenwire console guest >/dev/null & "
    wait = "xenwire wait guest --for state=crashed --timeout 120s --json; status=$?; kill $!; exit $status"
    crashed = json.loads(await ok("sh", "-c", crash + wait))
    assert crashed["state"] == "crashed"
    await ok("xenwire", "destroy", "guest")
    await assert_clean(ok)


async def test_channels_that_qemu_serves(ok, write):
    """Seed 002's keys and arguments, and none is lost though xl loses the first one."""
    channels = '["connection=socket,path=/root/a.sock,name=a", "connection=pty,name=b"]'
    await write(text=f"{CONFIG}channel = {channels}\n")
    await ok("xenwire", "create", "guest.cfg", "--paused", "--backend", "qemu")
    found = json.loads(await ok("xenwire", "channel", "list", "guest", "--json"))
    assert [(c["name"], c["devid"], c["kind"]) for c in found] == [("a", 1, "socket"), ("b", 2, "pty")]
    domid = (await listed(ok))["guest"]["domid"]
    front = f"/local/domain/{domid}/device/console/1"
    keys = await ok("xenstore-read", f"{front}/type", f"{front}/output", f"{front}/name")
    assert keys.split() == ["ioemu", "chardev:libxl-channel1", "a"]
    arguments = await ok("pgrep", "-af", f"xen-domid {domid} ")
    assert "-chardev socket,id=libxl-channel1,path=/root/a.sock,server=on,wait=off" in arguments
    await ok("xenwire", "destroy", "guest")
    await assert_clean(ok)


async def test_a_domain_with_a_device_model(ok, write):
    await write("hvm", 'name = "a guest"\ntype = "hvm"\nmemory = 64\nserial = "pty"\nvnc = 0\n')
    await ok("xenwire", "create", "hvm.cfg", "--paused")
    backends = json.loads(await ok("xenwire", "dm", "backends", "a guest", "--json"))
    assert "console" in {each["type"] for each in backends}
    domid = (await listed(ok))["a guest"]["domid"]
    serial = await ok("xenstore-read", f"/local/domain/{domid}/serial/0/tty")
    assert await ok("python3", "-c", PROGRAM) == f"xen: {serial}"
    await ok("xenwire", "destroy", "a guest")
    await assert_clean(ok)


async def test_what_cannot_be(ok, refused, write):
    await write("none", CONFIG.replace("vmlinux", "nothing"))
    status, error = await refused("create", "none.cfg")
    assert (status, "'/root/nothing': No such file or directory" in error) == (3, True)

    await write("large", CONFIG.replace("128", "999999"))
    status, error = await refused("create", "large.cfg")
    assert (status, "Out of memory" in error) == (1, True)

    await write("dies", 'name = "dies"\ntype = "hvm"\nmemory = 64\ndevice_model_args = ["-bogus"]\nvnc = 0\n')
    status, error = await refused("create", "dies.cfg")
    assert status == 1
    assert "starting its device model: " in error
    assert "-bogus: invalid option" in error
    assert "see its log: /var/log/xen/qemu-dm-dies.log" in error

    assert (await refused("destroy", "nobody"))[0] == 3
    for verb in ("destroy", "pause", "unpause"):
        assert (await refused(verb, "Domain-0"))[0] == 2
    await assert_clean(ok)

    await write()
    await ok("xl", "create", "-q", "-p", "guest.cfg")
    status, error = await refused("create", "guest.cfg")
    assert (status, "has this name" in error) == (6, True)
    await ok("xl", "destroy", "guest")
    await assert_clean(ok)


async def test_ctrl_c_and_a_deadline_leave_nothing(ok, refused, write):
    await write()
    out = await ok("sh", "-c", INTERRUPT)
    assert out.split() == ["building", "130"]
    await assert_clean(ok)
    assert (await refused("create", "guest.cfg", "--timeout", "500ms"))[0] == 5
    await assert_clean(ok)


async def test_the_kernels_way_to_the_store_keeps_requests_apart(ok):
    assert await ok("python3", "-c", CONCURRENT) == "True\n"


async def test_a_dry_run_does_nothing(ok, write):
    await write()
    plan = await ok("xenwire", "create", "guest.cfg", "--dry-run")
    assert '"name": "guest",' in plan
    await assert_clean(ok)
