"""Each child gives something up, then tries what it should not be able to do any more."""

import os

import pytest
from children import told

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
SETS = ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")


@as_root
def test_capabilities_are_gone_but_for_those_kept():
    found = told("""
        from xenwire.runtime.privileges import Capability, limit
        limit([Capability.CHOWN, Capability.FOWNER])
        tell([status(), call("mount", b"none", b"/mnt", b"tmpfs", 0, None), tried(lambda: os.setuid(1)),
              call("sethostname", b"x", 1), tried(lambda: os.chown(os.memfd_create("x"), 1, 1))])
    """)
    status, *tries = found
    assert {name: int(status[name][0], 16) for name in SETS} == {
        "CapPrm": 0b1001,
        "CapEff": 0b1001,
        "CapInh": 0,
        "CapBnd": 0b1001,
        "CapAmb": 0,
    }
    assert status["NoNewPrivs"] == ["1"]
    assert tries == ["EPERM", "EPERM", "EPERM", "ok"]


@as_root
def test_a_program_that_is_started_gets_none_back():
    assert (
        told("""
        from xenwire.runtime.privileges import limit
        limit([])
        own = ["cat", "/proc/self/status"]
        lines = subprocess.run(own, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        tell([line.split()[1] for line in lines if line.startswith(("CapEff", "CapPrm"))])
    """)
        == ["0" * 16] * 2
    )


@as_root
def test_files_of_others_are_closed_without_dac_override(tmp_path):
    file = tmp_path / "file"
    file.write_text("theirs")
    file.chmod(0o600)
    os.chown(file, 65534, 65534)
    code = """
        from xenwire.runtime.privileges import Capability, limit
        limit([{}])
        file = Path(os.environ["FILE"])
        tell([tried(file.read_text), tried(lambda: file.chmod(0o640))])
    """
    assert told(code.format(""), FILE=str(file)) == ["EACCES", "EPERM"]
    kept = "Capability.DAC_OVERRIDE, Capability.FOWNER"
    assert told(code.format(kept), FILE=str(file)) == ["ok", "ok"]


@as_root
def test_limits_only_ever_shrink():
    assert told("""
        from xenwire.runtime.privileges import Capability, limit
        limit([Capability.CHOWN])
        limit([Capability.CHOWN, Capability.SETUID])
        tell(status()["CapEff"])
    """) == ["0000000000000001"]


@as_root
def test_another_user_in_all_threads():
    """Those that were started between `limit` and `become` are left nothing either."""
    found = told("""
        from xenwire.runtime.privileges import Capability, become, limit
        limit([Capability.SETUID, Capability.SETGID])
        begun, end = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: (begun.set(), end.wait()))
        thread.start()
        begun.wait()
        become("65534:65534")
        tell([[status(f"self/task/{task}") for task in os.listdir("/proc/self/task")],
              tried(lambda: os.setuid(0)), tried(lambda: os.setgroups([0]))])
        end.set()
        thread.join()
    """)
    threads, *tries = found
    assert len(threads) == 2
    for status in threads:
        assert status["Uid"] == status["Gid"] == ["65534"] * 4
        assert status["Groups"] == []
        assert int(status["CapPrm"][0], 16) == int(status["CapEff"][0], 16) == 0
        assert status["NoNewPrivs"] == ["1"]
    assert tries == ["EPERM", "EPERM"]


@as_root
def test_who_is_not_root_keeps_what_there_is_of_it():
    assert told("""
        import logging
        from xenwire.errors import Denied
        from xenwire.runtime.privileges import Capability, become, limit
        become("65534:65534")
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
        limit([Capability.CHOWN])
        try:
            become("0:0")
        except Denied as error:
            tell([status()["CapEff"], status()["NoNewPrivs"], error.hint])
    """) == [["0" * 16], ["1"], "start it as that user, or as root"]


def test_threads_that_run_already_are_a_failure():
    assert (
        told("""
        from xenwire.errors import XenwireError
        from xenwire.runtime.privileges import limit
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        try:
            limit([])
        except XenwireError as error:
            tell(str(error))
        end.set()
    """)
        == "cannot give up privileges: the process has several threads"
    )


def test_an_unknown_user():
    assert (
        told("""
        from xenwire.errors import NotFound
        from xenwire.runtime.privileges import become
        tell(tried(lambda: become("no-such-user")))
    """)
        == "NotFound"
    )
