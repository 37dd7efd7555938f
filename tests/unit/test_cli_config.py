"""`xenwire config`: what it prints where, and how it ends."""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest
import yaml

import xenwire.hosts as xenwire_hosts
from xenwire.cli import run
from xenwire.config.yaml_text import to_yaml

DATA = Path(__file__).parent.parent / "data"
GOLDEN = DATA / "xlcfg"
NAME = b'name = "a"\nkernel = "/k"\n'
SILENT = NAME + b'type = "pvh"\n'


@pytest.fixture
def xenwire(capsysbinary):
    """Run a command in this process; gives its status, and what it printed."""

    def xenwire(*arguments):
        status = run(["config", *map(str, arguments)])
        out, err = capsysbinary.readouterr()
        return status, out, err.decode("utf-8", "surrogateescape")

    return xenwire


@pytest.fixture
def written(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def stdin(monkeypatch):
    def stdin(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return stdin


class TestCheck:
    def test_shows_what_is_wrong(self, xenwire, written):
        path = written("bad.cfg", b'name = "a\nmemroy = 1\n')
        status, out, _ = xenwire("check", written("good.cfg", SILENT), path)
        lines = out.decode().splitlines()
        assert status == 2
        assert lines[0] == f"{path}:1:8: error: this string is not closed"
        assert lines[2] == "           ^"

    def test_warnings_are_no_failure(self, xenwire, written):
        path = written("odd.cfg", SILENT + b"memroy = 1\n")
        status, out, _ = xenwire("check", path)
        assert status == 0
        assert f"{path}:4:1: warning: xl does not know memroy" in out.decode()

    def test_says_nothing_of_a_good_file(self, xenwire, written):
        assert xenwire("check", written("good.cfg", SILENT)) == (0, b"", "")

    @pytest.mark.parametrize("option", [["-o", "json"], ["--json"]])
    def test_json(self, xenwire, written, option):
        status, out, _ = xenwire("check", *option, written("bad.cfg", SILENT + b"on_crash = 'x'\nmemroy=1"))
        first, second = json.loads(out)
        assert status == 2
        assert (first["severity"], first["line"], first["column"]) == ("error", 4, 12)
        assert (second["severity"], second["hint"]) == ("warning", "did you mean memory?")

    def test_settings_count_as_lines(self, xenwire, written):
        path = written("good.cfg", SILENT)
        status, out, _ = xenwire("check", path, "on_crash='x'")
        assert status == 2
        assert out.decode().startswith(f"{path}:5:10: error: on_crash cannot be")

    def test_standard_input(self, xenwire, stdin):
        stdin(b"name = ")
        status, out, _ = xenwire("check", "-")
        assert status == 2
        assert out.decode().startswith("<stdin>:1:8: error: ")

    def test_a_missing_file(self, xenwire, tmp_path):
        status, out, err = xenwire("check", tmp_path / "none.cfg")
        assert (status, out) == (3, b"")
        assert "it does not exist" in err

    def test_settings_alone(self, xenwire):
        status, _, err = xenwire("check", "memory=1")
        assert status == 2
        assert "no FILE is given" in err

    def test_facts_of_the_host(self, xenwire, written):
        path = written("cpus.cfg", SILENT + b"vcpus = 1\ncpus = '9'\n")
        assert xenwire("check", path)[0] == 2
        assert xenwire("check", path, "--cpus", "16") == (0, b"", "")
        status, _, err = xenwire("check", path, "--xen", "new")
        assert status == 2
        assert "not a version of Xen" in err


class TestLikeXl:
    def case(self, xenwire, monkeypatch, name, *options):
        monkeypatch.chdir(GOLDEN)
        arguments = GOLDEN / f"{name}.args"
        settings = arguments.read_text().splitlines() if arguments.exists() else []
        return xenwire("check", f"{name}.cfg", *settings, "--like", "xl", *options)

    def test_what_xl_refuses(self, xenwire, monkeypatch):
        for file in sorted(GOLDEN.glob("*.err")):
            status, _, words = file.read_bytes().partition(b"\n")
            expected = int(status.removeprefix(b"exit=")), b"", words.decode("utf-8", "surrogateescape")
            assert self.case(xenwire, monkeypatch, file.stem) == expected

    def test_what_xl_warns_of(self, xenwire, monkeypatch):
        for file in sorted(GOLDEN.glob("*.warn")):
            expected = 0, b"", file.read_bytes().decode("utf-8", "surrogateescape")
            assert self.case(xenwire, monkeypatch, file.stem) == expected

    def test_quietly(self, written, capsys):
        assert run(["-q", "config", "check", "--like", "xl", str(written("good.cfg", SILENT))]) == 0
        assert capsys.readouterr() == ("", "")

    def test_a_crash(self, xenwire, written):
        path = written("crash.cfg", SILENT + b'channel = [ "" ]\n')
        status, out, err = xenwire("check", "--like", "xl", path)
        assert (status, out) == (139, b"")
        assert err == f"Parsing config from {path}\nxenwire: here xl would crash with signal 11\n"

    def test_a_missing_file(self, xenwire, tmp_path):
        path = tmp_path / "none.cfg"
        message = f"Failed to read config file: {path}: No such file or directory\n"
        assert xenwire("check", "--like", "xl", path) == (3, b"", message)

    def test_several_files(self, xenwire, written):
        path = written("good.cfg", SILENT)
        status, _, err = xenwire("check", "--like", "xl", path, path)
        assert status == 2
        assert "xl takes one FILE" in err


class TestShow:
    def test_json_as_xl_prints_it(self, xenwire):
        for name in ("complete-pv", "channel-socket", "viridian-list", "actions"):
            expected = GOLDEN / f"{name}.json"
            if expected.exists():
                assert xenwire("show", GOLDEN / f"{name}.cfg")[:2] == (0, expected.read_bytes())

    def test_warnings_go_to_stderr(self, xenwire, written):
        status, out, err = xenwire("show", written("odd.cfg", SILENT + b"memroy = 1\n"))
        assert status == 0
        assert json.loads(out)["c_info"]["name"] == "a"
        assert "warning: xl does not know memroy" in err

    def test_errors_leave_stdout_empty(self, xenwire, written):
        path = written("bad.cfg", b"name = ")
        status, out, err = xenwire("show", path)
        assert (status, out) == (2, b"")
        assert f"xenwire: cannot use the configuration {path}" in err

    def test_draws_a_uuid_as_xl_does(self, xenwire, written):
        path = written("good.cfg", SILENT)
        drawn = {json.loads(xenwire("show", path)[1])["c_info"]["uuid"] for _ in range(2)}
        assert len(drawn) == 2
        assert b"uuid" not in xenwire("show", path, "-o", "cfg")[1]

    def test_settings_count(self, xenwire, written):
        shown = json.loads(xenwire("show", written("good.cfg", SILENT), "name='b'", "memory=1")[1])
        assert (shown["c_info"]["name"], shown["b_info"]["target_memkb"]) == ("b", 1024)

    def test_facts_of_the_host(self, xenwire, written):
        path = written("good.cfg", b'name = "a"\nfirmware = "pvgrub64"\n')
        conf = written("xl.conf", b"claim_mode = 0\nmax_grant_frames = 7\n")
        shown = json.loads(xenwire("show", path, "--firmware", "/fw", "--xl-conf", conf)[1])["b_info"]
        assert (shown["kernel"], shown["claim_mode"], shown["max_grant_frames"]) == (
            "/fw/pvgrub64.bin",
            "False",
            7,
        )

    def test_versions_of_xen(self, xenwire, written):
        path = written(
            "channel.cfg",
            SILENT + b"channel = [ 'connection=pty,name=c', 'connection=socket,name=d,path=/a=b' ]\n",
        )
        old = json.loads(xenwire("show", path)[1])["channels"][1]
        new = json.loads(xenwire("show", path, "--xen", "4.20.1")[1])["channels"][1]
        assert (old["devid"], old["connection.socket"]["path"]) == (1, "/a")
        assert "devid" not in new
        assert new["connection.socket"]["path"] == "/a=b"

    def test_json_is_shown_again(self, xenwire):
        for name in ("complete-pv", "channel-several"):
            data = (GOLDEN / f"{name}.json").read_bytes()
            assert xenwire("show", GOLDEN / f"{name}.json")[:2] == (0, data)

    def test_what_an_old_xen_does_not_know(self, xenwire, written):
        path = written("new.json", b'{"b_info": {"llc_colors": [1]}}')
        assert json.loads(xenwire("show", path)[1])["b_info"]["llc_colors"] == [1]
        _, out, err = xenwire("show", path, "--xen", "4.17")
        assert "llc_colors" not in json.loads(out)["b_info"]
        assert err == "warning: Xen 4.17 does not know b_info.llc_colors\n"

    def test_a_listing(self, xenwire, written):
        listing = GOLDEN / "live" / "live-pv.list.json"
        shown = json.loads(xenwire("show", listing)[1])
        assert shown == json.loads(listing.read_bytes())[0]["config"]
        both = json.loads(listing.read_bytes()) * 2
        both[1] = {"domid": 9, "config": {**both[1]["config"], "c_info": {"name": "other"}}}
        path = written("both.json", json.dumps(both).encode())
        for domain in ("other", "9"):
            assert json.loads(xenwire("show", path, "--domain", domain)[1])["c_info"]["name"] == "other"
        status, out, err = xenwire("show", path)
        assert (status, out) == (6, b"")
        assert "it lists live-pv (domid 4), other (domid 9)" in err
        assert xenwire("show", path, "--domain", "none")[0] == 3

    @pytest.mark.parametrize(
        ("data", "arguments", "reason"),
        [
            (b"{}", ["memory=1"], "it is JSON, and no xl.cfg"),
            (b"[]", ["memory=1"], "it is JSON, and no xl.cfg"),
            (b"{}", ["--domain", "x"], "it is no listing of domains"),
            (b"{", [], "Expecting property name"),
        ],
    )
    def test_wrong_uses_of_json(self, xenwire, written, data, arguments, reason):
        status, out, err = xenwire("show", written("x.json", data), *arguments)
        assert (status, out) == (2, b"")
        assert reason in err

    def test_xl_cfg(self, xenwire, written):
        path = GOLDEN / "complete-pv.cfg"
        status, out, err = xenwire("show", path, "-o", "cfg")
        assert status == 0
        assert err.count("loses the first channel") == 1  # not again for the output
        again = written("again.cfg", out)
        assert xenwire("show", again)[1] == (GOLDEN / "complete-pv.json").read_bytes()

    def test_yaml(self, xenwire):
        name = "complete-pv"
        _, out, _ = xenwire("show", GOLDEN / f"{name}.cfg", "-o", "yaml")
        assert yaml.safe_load(out) == json.loads((GOLDEN / f"{name}.json").read_bytes())
        assert b"kernel: /" in out or b"bootloader: pygrub\n" in out

    def test_a_domain_that_runs(self, xenwire, monkeypatch):
        from xenwire.config.libxl.types import DomainConfig, DomainCreateInfo

        class Guest:
            async def config(self):
                return DomainConfig(c_info=DomainCreateInfo(name="web"))

        class Host:
            async def find(self, name):
                assert name == "we"
                return Guest()

        @contextlib.asynccontextmanager
        async def connect(uri):
            assert uri == "qemu:"
            yield Host()

        monkeypatch.setattr(xenwire_hosts, "connect", connect)
        status, out, _ = xenwire("show", "--domain", "we", "--host", "qemu:")
        assert (status, json.loads(out)["c_info"]) == (0, {"name": "web"})

    def test_nothing_to_show(self, xenwire):
        status, _, err = xenwire("show")
        assert status == 2
        assert "neither FILE nor --domain is given" in err


def test_yaml_quotes_what_could_be_taken_for_something_else():
    texts = [
        "yes",
        "No",
        "on",
        "null",
        "~",
        "1",
        "1e3",
        "0x10",
        "12:30:00",
        "",
        " x",
        "a: b",
        "- a",
        "#",
        "é",
        "\n",
        ".inf",
    ]
    written = to_yaml({"texts": texts, "plain": "/dev/vg0/root-1.img", "raw": "\udcff\udc80x"})
    read = yaml.safe_load(written)
    assert read["texts"] == texts
    assert read["raw"] == b"\xff\x80x"
    lines = written.decode().splitlines()
    assert "plain: /dev/vg0/root-1.img" in lines
    assert len([line for line in lines if line.startswith('- "')]) == len(texts)


class TestDiff:
    def test_equal(self, xenwire):
        path = GOLDEN / "complete-pv"
        assert xenwire("diff", f"{path}.cfg", f"{path}.json") == (0, b"", "")

    def test_different(self, xenwire, written):
        a = written("a.cfg", SILENT + b"disk = [ '/d,raw,xvda,w' ]\nmemory = 1\n")
        b = written("b.cfg", SILENT + b"disk = [ '/d,qcow2,xvda,w' ]\nvcpus = 1\n")
        status, out, err = xenwire("diff", a, b)
        assert (status, err) == (1, "")
        assert out.decode().splitlines() == [
            "+ b_info.max_vcpus: 1",
            "+ b_info.avail_vcpus: [0]",
            "- b_info.max_memkb: 1024",
            "- b_info.target_memkb: 1024",
            '~ disks[vdev=xvda].format: "raw" → "qcow2"',
        ]

    def test_json(self, xenwire, written, stdin):
        stdin(SILENT + b"memory = 2\n")
        status, out, _ = xenwire("diff", written("a.cfg", SILENT), "-", "--json")
        assert status == 1
        assert json.loads(out)[1] == {"path": "b_info.target_memkb", "before": None, "after": 2048}

    def test_errors_are_not_differences(self, xenwire, written):
        status, out, _ = xenwire("diff", written("a.cfg", b"name ="), written("b.cfg", SILENT))
        assert (status, out) == (2, b"")


class TestSchema:
    def test_is_one(self, xenwire):
        status, out, _ = xenwire("schema")
        schema = json.loads(out)
        assert status == 0
        assert schema["$schema"].startswith("https://json-schema.org/")
        assert "llc_colors" not in schema["$defs"]["DomainBuildInfo"]["properties"]

    def test_of_a_version(self, xenwire):
        schema = json.loads(xenwire("schema", "--xen", "4.20")[1])
        assert "llc_colors" in schema["$defs"]["DomainBuildInfo"]["properties"]


class TestImport:
    def test_xl_cfg(self, xenwire):
        status, out, err = xenwire("import", DATA / "libvirt" / "kvm.xml")
        assert status == 0
        assert out.startswith(b'# The domain\nname = "debian12"\ntype = "hvm"\n')
        assert "kvm.xml:41:7: warning: the virtio disk vda becomes xvda" in err
        assert "loses the first channel" in err

    @pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
    def test_other_forms(self, xenwire, output, load):
        status, out, _ = xenwire("import", DATA / "libvirt" / "xen-pv.xml", "-o", output)
        assert status == 0
        assert load(out)["channels"][3] == {"name": "org.example.void.0", "connection.none": {}}

    def test_refused(self, xenwire, stdin):
        stdin(b"<!DOCTYPE d [<!ENTITY a 'b'>]><domain/>")
        status, out, err = xenwire("import", "-")
        assert (status, out) == (2, b"")
        assert "<stdin>:1:13: error: a document type, or an entity" in err


def test_idl_is_one_of_the_commands(xenwire):
    status, out, _ = xenwire("idl", next((GOLDEN / "idl").glob("toy-*.idl")))
    assert status == 0
    assert out


def test_every_command_has_help_with_examples(xenwire):
    for command in ("check", "show", "diff", "schema", "import", "idl"):
        status, out, _ = xenwire(command, "--help")
        assert status == 0
        assert b"Examples:\n  xenwire config" in out.replace(b"    xenwire", b"  xenwire")
