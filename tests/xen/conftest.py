"""A lab that all tests of this folder share: a real Xen host inside QEMU."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from xenwire.errors import NotFound
from xenwire.images import Release
from xenwire.lab import Lab, Profile, Xenstored
from xenwire.qemu.program import find_qemu


def pytest_collection_modifyitems(items):
    """A first test may have to fetch, build and boot."""
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


WITNESSES = """\
xl list
xl dmesg | tail -n 30
tail -n 20 /var/log/xen/guest-*.log /root/*.log
"""
"""What tells why a test has failed in the lab: above all whether Xen has ended a guest."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and (lab := item.funcargs.get("lab")):
        with contextlib.suppress(Exception):  # a lab that is dead has nothing to say
            report.sections.append(("dom0", asyncio.run(witnesses(lab))))
    return report


async def witnesses(lab):
    said = bytearray()

    async def take(data):
        said.extend(data)

    async with lab.session() as session:
        await session.run(("sh", "-c", WITNESSES), timeout=60, on_stdout=take, on_stderr=take)
    return said.decode("utf-8", "replace")


@pytest.fixture(scope="session")
def lab():
    """The lab; what a test creates in it, it destroys. The environment may ask for another Xen, or store."""
    try:
        find_qemu()
    except NotFound as error:
        pytest.skip(f"no lab without QEMU: {error}; {error.hint}")
    folder = Path(tempfile.mkdtemp(prefix="xw-lab-"))
    release = Release(os.environ.get("XENWIRE_TEST_RELEASE", Release.BOOKWORM))
    xenstored = Xenstored(os.environ.get("XENWIRE_TEST_XENSTORED", Xenstored.C))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XENWIRE_RUN", str(folder))
        lab = asyncio.run(Lab.start("tests", Profile(release, xenstored=xenstored), print))
    yield lab
    asyncio.run(lab.stop())
    shutil.rmtree(folder)


@pytest.fixture
def dom0(lab):
    """Run a command in dom0 and give its exit status, output and errors."""

    async def run(*argv, timeout=60, **options):
        collected = {"on_stdout": bytearray(), "on_stderr": bytearray()}

        def sink(name):
            async def take(data):
                collected[name] += data

            return take

        async with lab.session() as session:
            status = await session.run(
                argv, timeout=timeout, **{name: sink(name) for name in collected}, **options
            )
        return status, collected["on_stdout"].decode(), collected["on_stderr"].decode()

    return run
