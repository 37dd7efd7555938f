"""The filter as the kernel would run it, for each processor; then in children that try their luck."""

import errno
import os
import signal
import struct

import pytest
from children import child, told
from hypothesis import given
from hypothesis import strategies as st

from xenwire.runtime.seccomp import MACHINES, filter_program
from xenwire.runtime.syscalls import ALLOWED, HOSTILE, OWN

PID = 4242
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
THREAD = 0x10000
OWN_ALLOWED = {"socket": 1, "socketpair": 1, "clone": THREAD, "kill": PID, "tgkill": PID, "prlimit64": 0}

here = pytest.mark.skipif(os.uname().machine not in MACHINES, reason="there is no filter for this processor")


def verdict(program, number, *arguments, architecture):
    """Run a classic BPF program on a system call (linux: include/uapi/linux/bpf_common.h)."""
    words = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, *[0] * 6)[:6])
    at = accumulator = 0
    while True:
        code, if_so, if_not, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", words, value)
            case 0x15:
                at += if_so if accumulator == value else if_not
            case 0x35:
                at += if_so if accumulator >= value else if_not
            case 0x45:
                at += if_so if accumulator & value else if_not
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


@pytest.fixture(params=MACHINES)
def judge(request):
    machine = MACHINES[request.param]
    program = filter_program(machine, PID)

    def judge(call, *arguments, architecture=machine.architecture):
        number = call if isinstance(call, int) else {**ALLOWED, **OWN, **HOSTILE}[call][machine.column]
        return None if number is None else verdict(program, number, *arguments, architecture=architecture)

    return judge


def test_each_call_by_name(judge):
    assert {judge(name) for name in ALLOWED} <= {ALLOW, None}
    assert {judge(name) for name in HOSTILE} <= {KILL, None}


def test_own_calls_by_their_argument(judge):
    assert OWN.keys() == OWN_ALLOWED.keys()
    for name, value in OWN_ALLOWED.items():
        assert judge(name, value) == ALLOW
        assert judge(name, value ^ THREAD ^ 2) == REFUSE


def test_another_processors_calls(judge):
    assert judge("read", architecture=0x40000003) == KILL  # i386
    assert judge(0x40000000) == KILL  # x32


def test_what_is_in_no_table(judge):
    assert judge(423) == REFUSE
    assert judge(435) == UNKNOWN  # clone3: the C library falls back on clone
    assert judge(10_000) == UNKNOWN


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1))
def test_only_what_the_tables_say_is_allowed(number, argument):
    for machine in MACHINES.values():
        known = {numbers[machine.column] for numbers in {**ALLOWED, **OWN}.values()}
        found = verdict(filter_program(machine, PID), number, argument, architecture=machine.architecture)
        assert found != ALLOW or number in known


def test_it_fits_into_the_kernel():
    assert all(len(filter_program(machine, PID)) // 8 <= 4096 for machine in MACHINES.values())


@here
def test_tables_have_no_number_twice():
    for column in (0, 1):
        numbers = [pair[column] for pair in (*ALLOWED.values(), *OWN.values(), *HOSTILE.values())]
        numbers = [number for number in numbers if number is not None]
        assert len(numbers) == len(set(numbers))


CONFINE = """
from xenwire.runtime.privileges import limit
from xenwire.runtime.seccomp import confine
limit([])
assert confine()
"""


@here
def test_what_a_daemon_does_goes_on():
    assert told(
        CONFINE
        + """
import asyncio, mmap, signal, tempfile, tty

async def talk():
    folder = tempfile.mkdtemp()
    async def echo(reader, writer):
        writer.write(await reader.read(100))
        writer.close()
    server = await asyncio.start_unix_server(echo, folder + "/s")
    reader, writer = await asyncio.open_unix_connection(folder + "/s")
    writer.write(b"hello")
    data = await reader.read()
    writer.close()
    server.close()
    os.unlink(folder + "/s")
    with open(folder + "/f", "w+b") as file:
        file.truncate(8192)
        os.posix_fallocate(file.fileno(), 0, 4096)
        mmap.mmap(file.fileno(), 8192)[0] = 1
        os.rename(folder + "/f", folder + "/g")
        os.link(folder + "/g", folder + "/h")
        os.fsync(file)
    await asyncio.to_thread(os.chmod, folder + "/g", 0o640)
    loop = asyncio.get_running_loop()
    caught = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, caught.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await caught.wait()
    controller, terminal = os.openpty()
    tty.setraw(terminal)
    os.write(terminal, b"x")
    import pwd
    return [data.decode(), status()["Seccomp"], os.read(controller, 9).decode(), pwd.getpwnam("root").pw_uid]

tell(asyncio.run(talk()))
"""
    ) == ["hello", ["2"], "x", 0]


@here
def test_what_a_daemon_does_not_do_is_refused():
    assert told(
        CONFINE
        + """
tell([tried(lambda: socket.socket()), tried(lambda: socket.socket(socket.AF_NETLINK)), tried(os.fork),
      tried(lambda: subprocess.run(["true"])), tried(lambda: os.kill(os.getppid(), 0)),
      tried(lambda: os.symlink("a", "/tmp/b")), tried(lambda: os.mkfifo("/tmp/b")),
      tried(lambda: os.pidfd_open(os.getppid())), tried(lambda: os.nice(1)), call("syscall", 1000)])
"""
    ) == ["EPERM"] * 7 + ["ENOSYS", "EPERM", "ENOSYS"]


@here
@pytest.mark.parametrize(
    "hostile", ["ptrace", "mount", "unshare", "setns", "umount2", "chroot", "init_module"]
)
def test_hostile_calls_end_it(hostile):
    status, _ = child(
        CONFINE
        + f"""
libc.{hostile}(0, 0, 0, 0, 0)
tell("still here")
"""
    )
    assert status == -signal.SIGSYS


@here
def test_threads_that_run_already_are_held_too():
    assert told("""
        from xenwire.runtime.privileges import limit
        from xenwire.runtime.seccomp import confine
        limit([])
        found, confined = [], threading.Event()
        thread = threading.Thread(target=lambda: (confined.wait(), found.append(tried(socket.socket))))
        thread.start()
        confine()
        confined.set()
        thread.join()
        tell(found)
    """) == ["EPERM"]
