"""Kills at any moment: whatever dies, `destroy` leaves nothing of the domain."""

import json
import os
import random
import signal
import time

import pytest

from tests.qemu.conftest import fake_qemu, host, image  # noqa: F401

pytestmark = [pytest.mark.soak, pytest.mark.qemu]

ROUNDS = int(os.environ.get("XENWIRE_SOAK_ROUNDS", "100"))


def channels(host):  # noqa: F811
    return [
        f"connection=socket,name=a,path={host.folder}/a.sock",
        f"connection=path,name=b,path={host.folder}/b.log",
        "connection=pty,name=c",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_create_is_ended_at_any_moment(host, number):  # noqa: F811
    host.ok("list")
    moments, config = random.Random(number), host.config(channels=channels(host))
    for _ in range(ROUNDS):
        process = host.start("create", config, start_new_session=True)
        time.sleep(moments.uniform(0.1, 0.8))
        process.send_signal(number)
        process.communicate(timeout=60)
        if process.returncode == 0:
            host.ok("destroy", "guest")
        host.assert_clean()


def test_create_is_killed_at_any_moment(host):  # noqa: F811
    """Nobody could clean up: what stands in the store is destroyed like any domain."""
    host.ok("list")
    moments, config = random.Random(1), host.config(channels=channels(host))
    for _ in range(ROUNDS):
        process = host.start("create", config, start_new_session=True)
        time.sleep(moments.uniform(0.1, 0.8))
        process.kill()
        process.communicate(timeout=60)
        for name in host.domains():
            host.ok("destroy", name)
        host.assert_clean()


@pytest.mark.parametrize("victim", ["dm\0run\0", "-S\0"])
def test_the_device_model_is_killed_at_any_moment(host, victim):  # noqa: F811
    host.ok("list")
    moments, config = random.Random(2), host.config(channels=channels(host))
    for _ in range(ROUNDS):
        process = host.start("create", config)
        time.sleep(moments.uniform(0.3, 0.9))
        for pid in host.processes(victim):
            os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        if process.returncode == 0 and host.domains()["guest"]["state"] != "running":
            assert json.loads(host.ok("dm", "status", "guest", "--json"))["runstate"] == "crashed"
        for name in host.domains():
            host.ok("destroy", name)
        host.assert_clean()
