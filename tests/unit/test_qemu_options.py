import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenwire.errors import UsageError
from xenwire.qemu.options import MAX_ID, check_id, escape, format_option, split_option

TEXT = st.text(st.sampled_from("a,=/é\n"), max_size=8)


def test_commas_are_doubled():
    assert escape("/tmp/a,b,,c") == "/tmp/a,,b,,,,c"


def test_an_option_keeps_the_order_and_spells_truth_values():
    option = format_option("socket", {"id": "s", "path": "/a,b", "server": True, "wait": False, "fd": 3})
    assert option == "socket,id=s,path=/a,,b,server=on,wait=off,fd=3"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("pty", ["pty"]),
        ("pty,", ["pty"]),
        ("a,,b", ["a,b"]),
        ("a,,,b", ["a,", "b"]),
        ("socket,path=/a,,b,server", ["socket", "path=/a,b", "server"]),
    ],
)
def test_pieces_of_an_option(text, pieces):
    assert split_option(text) == pieces


@given(st.text("ab=", min_size=1), st.dictionaries(st.sampled_from(["id", "path", "x"]), TEXT))
def test_splitting_undoes_formatting(implied, values):
    assert split_option(format_option(implied, values)) == [implied, *(f"{k}={v}" for k, v in values.items())]


@pytest.mark.parametrize("good", ["a", "libxl-channel1", "A.b_c-9", "x" * MAX_ID])
def test_ids_that_qemu_takes(good):
    assert check_id(good) == good


@pytest.mark.parametrize("bad", ["", "1a", "-a", "a b", "a,b", "é", "a\n", "x" * (MAX_ID + 1)])
def test_ids_that_qemu_refuses(bad):
    with pytest.raises(UsageError, match="not an id"):
        check_id(bad)
