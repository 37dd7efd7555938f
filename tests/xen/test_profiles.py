"""Labs of other kinds: Debian 13, the OCaml store, an IOMMU."""

import json

import pytest

from xenwire.images import Release
from xenwire.lab import Lab, Profile, Xenstored
from xenwire.lab.package import install

pytestmark = pytest.mark.xen


@pytest.fixture
async def started():
    """Start a lab with a profile and give what runs a shell command in it; the lab is stopped in the end."""
    labs = []

    async def start(profile):
        labs.append(lab := await Lab.start("other", profile, print))

        async def run(command):
            taken = bytearray()

            async def take(data):
                taken.extend(data)

            async with lab.session() as session:
                status = await session.run(["sh", "-c", command], on_stdout=take, on_stderr=take, timeout=120)
            assert status == 0, taken.decode()
            return taken.decode()

        return lab, run

    yield start
    for lab in labs:
        await lab.stop()


async def test_debian_13(started):
    lab, run = await started(Profile(release=Release.TRIXIE))
    assert "xen_version            : 4.20" in await run("xl info")
    async with lab.session() as session:
        await install(session)
    (dom0,) = json.loads(await run("xenwire list --json"))
    assert (dom0["name"], dom0["domid"], dom0["state"]) == ("Domain-0", 0, "running")


async def test_the_store_in_ocaml(started):
    _, run = await started(Profile(xenstored=Xenstored.OCAML))
    assert "oxenstored" in await run("ps ax")
    assert (await run("xenstore-read /local/domain/0/name")).strip() == "Domain-0"
    assert "Domain-0" in await run("xl list")


async def test_a_device_to_pass_through(started):
    _, run = await started(Profile(iommu=True))
    assert "hvm_directio pv_directio" in await run("xl info")
    await run("modprobe xen-pciback && xl pci-assignable-add 00:05.0")
    assert (await run("xl pci-assignable-list")).split() == ["0000:00:05.0"]
