"""The tiny guest under a plain QEMU, through plain sockets: nothing of Xenwire but the image takes part."""

import os

import pytest

from tests.qemu.machine import Agent, Machine, read_until, receive

pytestmark = [pytest.mark.qemu, pytest.mark.guest]

PORTS = {"agent": "org.qemu.guest_agent.0", "echo": "org.xenwire.echo.0", "late": "org.xenwire.echo.1"}


def boot(image):
    return Machine(image.kernel, image.ramdisk, f"{image.cmdline} hostname=tiny", PORTS)


@pytest.fixture(scope="module")
def guest(image):
    guest = boot(image)
    yield guest
    guest.close()


@pytest.fixture(scope="module")
def agent(guest):
    """The agent, once it has answered."""
    agent = Agent(guest.connect("agent"))
    assert agent("guest-ping") == {}
    yield agent
    agent.close()


def test_who_it_is(agent):
    assert agent("guest-get-osinfo")["id"] == "xenwire-tiny-guest"
    assert agent("guest-get-host-name") == {"host-name": "tiny"}
    links = agent.run("cd /dev/virtio-ports; echo *").split()
    assert links == sorted(PORTS.values())


def test_echo(guest, agent):
    for number in range(3):  # one client after another
        with guest.connect("echo") as client:
            message = b"hello %d" % number
            client.sendall(message)
            assert receive(client, len(message)) == message


def test_echo_of_many_bytes(guest, agent):
    data = os.urandom(200_000)
    with guest.connect("echo") as client:
        for at in range(0, len(data), 10_000):
            client.sendall(data[at : at + 10_000])
            assert receive(client, 10_000) == data[at : at + 10_000]


def test_waiting_for_a_client_starts_no_processes(guest, agent):
    """Nobody is at the other end of the ports of the echo."""
    count = "grep processes /proc/stat"  # how many the guest has started since it booted
    before, after = (int(line.split()[1]) for line in agent.run(f"{count}; sleep 1; {count}").splitlines())
    assert after - before < 10
    with guest.connect("late") as client:
        client.sendall(b"late")
        assert receive(client, 4) == b"late"


def test_console(guest, agent):
    with guest.connect("console") as client:
        # What says so is in the foreground already: ^C any earlier might hit the shell, which ignores it.
        client.sendall(b"sh -c 'echo up$((6 * 7)); exec sleep 1000'\n")
        read_until(client, b"up42")
        client.sendall(b"\x03")  # job control: it ends the sleep, not the shell
        client.sendall(b"echo still''$((6 * 7)); exit\n")
        read_until(client, b"still42")
        read_until(client, b"built-in shell")  # the next one
        client.sendall(b"echo again''$((6 * 7))\n")
        read_until(client, b"again42")


def test_the_agent_is_started_again(guest, agent):
    with guest.connect("console") as client:
        client.sendall(b"killall -9 qemu-ga; while ! pidof qemu-ga; do usleep 10000; done; echo came''back\n")
        read_until(client, b"cameback")
    assert agent("guest-ping") == {}


@pytest.mark.parametrize("how", ["agent", "console"])
def test_it_ends_when_told_to(image, how):
    guest = boot(image)
    try:
        agent = Agent(guest.connect("agent"))
        agent("guest-ping")
        if how == "agent":
            agent.client.sendall(b'{"execute": "guest-shutdown"}\n')  # is not answered
        else:
            with guest.connect("console") as client:
                client.sendall(b"reboot\n")
        assert guest.process.wait(20) == 0
        agent.close()
    finally:
        guest.close()
