"""What a real xl makes of configurations, beside what ours does: its words, its status and its JSON."""

import json

import pytest

from tests.xen.configs import configurations
from xenwire.config.diagnostics import ConfigError
from xenwire.config.libxl.json_writer import to_json
from xenwire.config.libxl.version import V4_17
from xenwire.config.xl.config import Verdict, parse_config, xl_verdict
from xenwire.config.xl.facts import HostFacts

pytestmark = pytest.mark.xen

SEED = 4
COUNT = 120
"""Each takes xl a quarter of a second in an emulated machine."""

TRY_ALL = """\
cd /root/configs || exit
ulimit -t 10
try() {
    for file in *$1.cfg; do
        xl create -n "$file" >"$file.out" 2>"$file.err"
        echo $? >"$file.status"
    done
}
try '[02468]' &
try '[13579]'
wait
"""


async def test_xl_says_the_same(lab, dom0, tmp_path):
    status, info, _ = await dom0("xl", "info", "nr_cpus")
    assert status == 0
    facts = HostFacts(cpus=int(info), nodes=1)
    cases = {f"{number:04}.cfg": data for number, data in enumerate(configurations(SEED, COUNT))}
    folder = tmp_path / "configs"
    folder.mkdir()
    for name, data in cases.items():
        (folder / name).write_bytes(data)
    async with lab.session() as session:
        await session.put(folder, "/root/configs")
        assert await session.run(["sh", "-c", TRY_ALL], timeout=300) == 0
        await session.get("/root/configs", tmp_path)
    found = [
        f"{name}:\n{data.decode(errors='replace')}\n{different}"
        for name, data in cases.items()
        if (different := difference(data, name, facts, folder)) is not None
    ]
    assert not found, "\n\n".join(found)


def difference(data, name, facts, folder):
    """Describe how xl's outcome differs from ours; None if it does not."""
    verdict, written = ours(data, name, facts)
    status = int((folder / f"{name}.status").read_text())
    words = (folder / f"{name}.err").read_bytes()
    if verdict.status < 0 and status > 128:
        # the words that libc may add when it crashes are not foreseen
        same = words.startswith(verdict.words)
    else:
        same = (verdict.words, verdict.status) == (words, status)
    if not same:
        return f"ours: {verdict}\nxl's: {Verdict(words, status)}"
    if status == 0:
        real = comparable((folder / f"{name}.out").read_bytes())
        if written is None or comparable(written) != real:
            return f"ours: {written}\nxl's: {real}"
    return None


def ours(data, name, facts):
    """Foresee xl's words and status; and our JSON, or None where we see an error."""
    try:
        verdict = xl_verdict(data, name, facts)
    except ConfigError as error:
        return Verdict(str(error).encode(), 0), None
    try:
        return verdict, to_json(parse_config(data, name, facts).config, V4_17)
    except ConfigError:
        return verdict, None


def comparable(written):
    """Read JSON, without what is drawn at random."""
    value = json.loads(written.decode(errors="surrogateescape"))
    value["c_info"].pop("uuid", None)
    value["b_info"].get("type.hvm", {}).pop("ms_vm_genid", None)
    return value
