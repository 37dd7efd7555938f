import subprocess
import sys

PROGRAM = """
import logging, sys
from xenwire.runtime.logs import bound_log
logging.basicConfig(format="%(levelname)s %(message)s")
bound_log()
for number in range(30_000):
    logging.warning("%d %s", number, "x" * 40)
print("the last word", file=sys.stderr)
"""


def ran(stderr):
    return subprocess.run([sys.executable, "-c", PROGRAM], stderr=stderr, check=True)


def test_a_log_that_is_appended_to_stays_small(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    with path.open("a") as file:
        ran(file)
    older = (tmp_path / "log.old").read_text().splitlines()
    lines = path.read_text().splitlines()
    assert path.stat().st_size < 1 << 20
    assert older[0] == "before"
    assert lines[-2:] == [f"WARNING 29999 {'x' * 40}", "the last word"]
    assert len(older) + len(lines) == 30_002


def test_a_file_that_has_been_removed_is_not_made_anew(tmp_path):
    with (tmp_path / "log").open("a") as file:
        (tmp_path / "log").unlink()
        ran(file)
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_left_as_it_is(tmp_path):
    with (tmp_path / "log").open("w") as file:
        ran(file)
    assert len((tmp_path / "log").read_text().splitlines()) == 30_001


def test_a_pipe_gets_all():
    assert len(ran(subprocess.PIPE).stderr.splitlines()) == 30_001
