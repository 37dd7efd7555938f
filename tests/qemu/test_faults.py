"""What goes wrong, what is said of it, and that nothing of it is left."""

import contextlib
import os
import random
import select
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xenwire.runtime.process import ProcessRef

pytestmark = pytest.mark.qemu


def fails(host, *arguments, status, message, reason=None):
    """Run a command that has to fail, and hold what it says against what it should say."""
    result = host(*arguments)
    assert result.returncode == status, result.stderr
    assert message in result.stderr
    if reason:
        assert reason in result.stderr
    return result.stderr


def create_fails(host, config, **expected):
    text = fails(host, "create", config, "--paused", **expected)
    host.assert_clean()
    return text


# QEMU


def test_qemu_is_missing(host):
    host.env["XENWIRE_QEMU"] = "/none/qemu"
    text = create_fails(host, host.config(), status=3, message="cannot find QEMU", reason="/none/qemu")
    assert "apt-get install qemu-system-x86" in text


def test_qemu_dies_at_once(host, fake_qemu):
    fake_qemu("echo 'the flux capacitor is empty' >&2; exit 7")
    text = create_fails(
        host, host.config(), status=1, message="QEMU did not start", reason="exited with status 7"
    )
    assert "the flux capacitor is empty" in text


def test_qemu_refuses_its_kernel(host):
    kernel = host.folder / "vmlinuz"
    kernel.write_bytes(b"\x7fELF no kernel" * 1000)
    text = create_fails(host, host.config(kernel=str(kernel)), status=1, message="QEMU did not start")
    assert "kernel" in text


def test_qemu_is_never_ready(host, fake_qemu):
    program = fake_qemu("exec sleep 600")
    result = host("create", host.config(), "--timeout", "300ms")
    assert result.returncode == 5
    assert f"waited 0.3 s for the QMP greeting of {program}" in result.stderr
    host.assert_clean()


def test_qemu_is_killed_later(host):
    host.ok("create", host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"]))
    os.kill(host.qemu(), signal.SIGKILL)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    assert host.domains()["guest"]["state"] == "crashed"
    assert "killed by SIGKILL" in host.ok("dm", "status", "guest")
    fails(host, "unpause", "guest", status=7, message="cannot continue domain 1", reason="not running")
    host.ok("destroy", "guest")
    host.assert_clean()


def test_the_device_model_is_killed_later(host):
    """Its QEMU goes with it; nobody could tell the store, and yet the domain shows as crashed."""
    host.ok("create", host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"]))
    qemu = ProcessRef.of(host.qemu())
    (agent,) = host.processes("dm\0run\0")
    os.kill(agent, signal.SIGKILL)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    assert host.domains()["guest"]["state"] == "crashed"
    assert not qemu.alive
    host.ok("destroy", "guest")
    host.assert_clean()


def test_the_device_model_is_told_to_end(host):
    """Whoever ends it, the domain does not look as if it were still starting."""
    host.ok("create", host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"]))
    qemu = ProcessRef.of(host.qemu())
    (agent,) = host.processes("dm\0run\0")
    os.kill(agent, signal.SIGTERM)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    wait_for_the_end(qemu)
    assert "it was told to end" in host.ok("dm", "status", "guest")
    assert "/local/domain/0/device-model/1/state" not in host.nodes()
    host.ok("destroy", "guest")
    host.assert_clean()


def test_qemu_is_told_to_end(host):
    """It ends with status 0, as if the guest had powered off; it has not."""
    host.ok("create", host.config())
    os.kill(host.qemu(), signal.SIGTERM)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    assert "QEMU exited with status 0" in host.ok("dm", "status", "guest")
    host.ok("destroy", "guest")
    host.assert_clean()


def test_a_second_device_model_is_refused(host):
    host.ok("create", host.config(), "--paused")
    qemu = host.qemu()
    (agent,) = host.processes("dm\0run\0")
    fails(host, "dm", "run", "1", status=6, message="domain 1 has a device model already", reason=f"{agent}")
    assert host.qemu() == qemu
    host.ok("unpause", "guest")
    assert host.domains()["guest"]["state"] == "running"


def test_another_takes_the_socket_of_a_dead_device_model(host):
    """What listens there now is none of the domain's, and outlives it."""
    path = host.folder / "a.sock"
    host.ok("create", socket_at(host, path), "--paused")
    (agent,) = host.processes("dm\0run\0")
    os.kill(agent, signal.SIGKILL)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    path.unlink()
    with socket.create_server(str(path), family=socket.AF_UNIX):
        host.ok("destroy", "guest")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    path.unlink()
    host.assert_clean()


def test_a_channel_that_makes_no_sense_does_not_keep_a_domain(host):
    host.ok("create", host.config(channels=["connection=pty,name=a"]), "--paused")
    host.xenstore("xenstore-write", "/local/domain/0/backend/console/1/1/connection", "nonsense")
    host.ok("destroy", "guest")
    host.assert_clean()


def test_a_device_model_for_no_domain(host):
    host.ok("list")
    fails(host, "dm", "run", "9", status=3, message="there is no domain 9")
    host.assert_clean()


def test_the_store_is_killed(host):
    """What a domain is stood there only: its device model ends QEMU and cleans up, so nothing runs unseen."""
    host.ok("create", host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"]))
    running = [ProcessRef.of(pid) for pid in host.processes() if pid not in host.processes("store\0serve\0")]
    assert len(running) == 3
    (store,) = host.processes("store\0serve\0")
    os.kill(store, signal.SIGKILL)
    for process in running:
        wait_for_the_end(process)
    host.assert_clean()


def wait_for_the_end(process):
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(process.pid)
        assert select.select([pidfd], [], [], 20)[0], f"{process} still runs"
        os.close(pidfd)


# Configurations


@pytest.mark.parametrize("key", ["kernel", "ramdisk"])
def test_a_file_is_missing(host, key):
    config = host.config(**{key: "/none/file"})
    create_fails(
        host, config, status=3, message="cannot create domain 'guest'", reason=f"its {key} /none/file"
    )


def test_two_domains_of_one_name(host):
    config = host.config()
    host.ok("create", config, "--paused")
    text = fails(
        host, "create", config, status=6, message="cannot create domain 'guest'", reason="domain 1 has"
    )
    assert "xenwire destroy 1" in text
    assert list(host.domains()) == ["guest"]


def test_two_domains_of_one_uuid(host):
    uuid = "11111111-2222-4333-8444-555555555555"
    host.ok("create", host.config("one", uuid=uuid), "--paused")
    fails(
        host,
        "create",
        host.config("two", uuid=uuid),
        status=6,
        message="'two'",
        reason=f"has the uuid {uuid}",
    )


def test_no_configuration(host):
    fails(host, "create", "none.cfg", status=3, message="cannot read none.cfg")


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ("connection=pty", "name"),
        ("connection=tty,name=a", "tty"),
        ("connection=socket,name=a", "path"),
        ("connection=pty,name=a b", "name"),
    ],
)
def test_a_bad_channel(host, channel, message):
    text = create_fails(host, host.config(channels=[channel]), status=2, message=message)
    assert "guest.cfg:6:" in text
    assert "^" in text


def test_a_syntax_error(host):
    config = host.config()
    config.write_text('name = "guest"\nmemory = = 3\n')
    text = create_fails(host, config, status=2, message="guest.cfg:2:10: error:")
    lines = [line.removeprefix("       ") for line in text.splitlines()]
    excerpt = next(i for i, line in enumerate(lines) if line.strip() == "memory = = 3")
    assert lines[excerpt + 1].index("^") == lines[excerpt].index("= 3")


def test_an_unknown_key_is_a_warning(host):
    config = host.config(memroy=3)
    result = host("create", config, "--paused")
    assert result.returncode == 0
    assert "memroy" in result.stderr
    assert "memory" in result.stderr
    assert "warning" in result.stderr


def test_a_wrong_type_is_a_warning_as_for_xl(host):
    result = host("create", host.config(memory=["1"]), "--paused")
    assert result.returncode == 0
    assert "guest.cfg:2:10: warning: memory is a list" in result.stderr


def test_keys_that_a_host_without_xen_makes_nothing_of(host):
    result = host("create", host.config(cpus="0", hap=1), "--paused")
    assert result.returncode == 0
    assert "makes nothing of cpus, hap" in result.stderr


def test_settings_after_the_file_count(host):
    host.ok("create", host.config(), 'name="other"', "--paused")
    assert host.ok("list", "-o", "name") == "other\n"


# Places of channels


def socket_at(host, path):
    return host.config(channels=[f"connection=socket,name=a,path={path}"])


def test_a_socket_path_that_is_too_long(host):
    path = f"{host.folder}/{'x' * 100}"
    create_fails(host, socket_at(host, path), status=2, message="cannot listen on", reason="at most 107")


def test_a_relative_socket_path(host):
    """It counts from the folder of the command, not of the daemons."""
    host.ok("create", socket_at(host, "a.sock"), "--paused")
    assert (host.folder / "a.sock").is_socket()
    assert f"{host.folder}/a.sock" in host.ok("channel", "list", "guest")


def test_a_socket_in_no_folder(host):
    path = f"{host.folder}/none/a.sock"
    create_fails(
        host, socket_at(host, path), status=3, message="cannot listen on", reason="there is no folder"
    )


def test_a_socket_that_somebody_listens_on(host):
    path = host.folder / "taken"
    with socket.create_server(str(path), family=socket.AF_UNIX) as listener:
        fails(
            host,
            "create",
            socket_at(host, path),
            status=6,
            message="cannot listen on",
            reason="another program",
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()
    path.unlink()
    host.assert_clean()


def test_of_two_domains_with_one_socket_one_wins(host):
    path = host.folder / "a.sock"
    configs = [host.config(name, channels=[f"connection=socket,name=a,path={path}"]) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda c: host("create", c, "--paused"), configs))
    assert sorted(r.returncode for r in results) == [0, 6]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    host.ok("destroy", *host.domains())
    host.assert_clean()


def test_a_stale_socket_is_replaced(host):
    path = host.folder / "a.sock"
    socket.create_server(str(path), family=socket.AF_UNIX).close()
    host.ok("create", socket_at(host, path), "--paused")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_file_in_a_sockets_place_stays(host):
    path = host.folder / "precious"
    path.write_text("data")
    create_fails(host, socket_at(host, path), status=6, message="cannot listen on", reason="not a socket")
    assert path.read_text() == "data"


def log_at(host, path):
    return host.config(channels=[f"connection=path,name=a,path={path}"])


def test_a_log_that_cannot_be_written(host):
    path = host.folder / "log"
    path.mkdir()
    create_fails(host, log_at(host, path), status=1, message=f"cannot write the log {path}")
    create_fails(
        host, log_at(host, path / "none" / "log"), status=3, message="cannot write", reason="no folder"
    )


# Ctrl-C


@pytest.mark.parametrize("after", ["", "registered", "device model running", "processors running"])
def test_ctrl_c_at_each_step_of_create(host, after):
    host.ok("list")
    config = host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"])
    process = host.start("create", config, start_new_session=True)
    while after and after not in process.stderr.readline():
        assert process.poll() is None
    interrupt(process)
    finished(host, process)


def test_ctrl_c_at_any_moment_of_create(host):
    host.ok("list")
    moments = random.Random(1)
    config = host.config(channels=[f"connection=socket,name=a,path={host.folder}/a.sock"])
    for _ in range(10):
        process = host.start("create", config, start_new_session=True)
        time.sleep(moments.uniform(0.0, 0.8))
        interrupt(process)
        finished(host, process)


def interrupt(process):
    """Do as a terminal does: the whole foreground group gets it, twice for an impatient user."""
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT) if process.poll() is None else None


def finished(host, process):
    out, err = process.communicate(timeout=30)
    assert "xenwire/" not in err.partition("Traceback")[2], err  # Python's own, before our first line has run
    if process.returncode == 0:
        host.ok("destroy", "guest")
    else:
        # Python itself dies so where it is interrupted before it has come to our first line.
        early = process.returncode == 1 and ("init_import_site" in err or "Could not import runpy" in err)
        assert early or process.returncode in (130, -signal.SIGINT), (out, err)
    host.assert_clean()


# The command line


def test_usage_errors(host):
    assert host("create").returncode == 2
    assert host("frobnicate").returncode == 2
    assert host("wait", "x", "--for", "colour=red").returncode == 2
    assert host("list", "--host", "ssh://x").returncode == 2


def test_errors_as_json(host):
    result = host("list", "none", "--json")
    assert result.returncode == 3
    assert '"code": "not-found"' in result.stderr
    assert result.stdout == ""


def test_daemons_keep_nothing_open_that_the_command_had(host):
    """`exec 3> >(tee log)` in the user's shell must see its end."""
    reader, writer = os.pipe()
    with host.start("create", host.config(), "--paused", pass_fds=[writer]) as process:
        os.close(writer)
        process.communicate(timeout=30)
    assert select.select([reader], [], [], 10)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert len(host.processes()) == 3


def test_a_reader_that_goes_away(host):
    host.ok("create", host.config(), "--paused")
    process = host.start("list")
    process.stdout.close()
    assert process.wait(timeout=20) in (0, 1)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_the_store_cannot_start(host):
    run = Path(host.env["XENWIRE_RUN"])
    run.mkdir(0o700)
    (run / "store.sock").write_text("precious")
    result = host("list")
    assert result.returncode == 1
    assert "the store did not start" in result.stderr
    assert "not a socket" in result.stderr
    assert (run / "store.sock").read_text() == "precious"
    (run / "store.sock").unlink()


def until_another(host, domid):
    """Wait until the guest runs as another domain, and give that."""
    deadline = time.monotonic() + 20
    while (guest := host.domains().get("guest", {"domid": domid}))["domid"] == domid or (
        guest["state"] != "running"
    ):
        assert time.monotonic() < deadline, guest
        time.sleep(0.1)
    return guest


@pytest.mark.parametrize("backend", ["xenwire", "qemu"])
def test_a_domain_that_crashes_begins_anew_where_it_is_to(host, backend):
    path = host.folder / "a.sock"
    channel = f"connection=socket,name=org.xenwire.echo.0,path={path}"
    host.ok("create", "--backend", backend, host.config(channels=[channel], on_crash="restart"))
    before = host.domains()["guest"]
    os.kill(host.qemu(), signal.SIGKILL)
    after = until_another(host, before["domid"])
    assert {**after, "domid": before["domid"]} == before
    log = Path(host.env["XENWIRE_RUN"]) / "log" / f"dm-{after['domid']}.log"
    assert f"in place of domain {before['domid']}" in log.read_text()
    assert "killed by SIGKILL" in log.read_text()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(b"still here\n")
        assert client.recv(100) == b"still here\n"
    host.ok("destroy", "guest")
    host.assert_clean()


def test_a_domain_that_is_to_begin_anew_can_be_destroyed_before(host):
    host.ok("create", host.config(on_crash="restart"))
    os.kill(host.qemu(), signal.SIGKILL)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    host.ok("destroy", "guest")
    host.assert_clean()
