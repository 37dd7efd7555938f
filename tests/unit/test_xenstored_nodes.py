"""Reading, writing, removing; who may do it; what new nodes inherit."""

import pytest
from store_dialogue import OK, Dialogue, plain

from xenwire.xenstore.wire import Op


@pytest.fixture
def talk():
    return Dialogue()


@pytest.fixture
def guest(talk):
    return talk.guest(5)


def test_new_store(talk):
    talk.run(
        (talk.dom0, 0, Op.DIRECTORY, "/|", "tool|"),
        (talk.dom0, 0, Op.DIRECTORY, "/tool|", "xenstored|"),
        (talk.dom0, 0, Op.DIRECTORY, "/tool/xenstored|", ""),
        (talk.dom0, 0, Op.GET_PERMS, "/|", "n0|"),
        (talk.dom0, 0, Op.GET_PERMS, "@introduceDomain|", "n0|"),
        (talk.dom0, 0, Op.GET_PERMS, "@releaseDomain|", "n0|r32757|"),
    )


def test_values_are_any_bytes(talk):
    for value in (b"", b"\0", b"a\0\0", bytes(range(256)), b"x" * (4096 - len("/v|"))):
        assert talk.ask(talk.dom0, Op.WRITE, b"/v\0" + value) == OK
        assert talk.ask(talk.dom0, Op.READ, "/v|") == plain(value)


def test_write_makes_what_is_missing_above(talk):
    talk.run(
        (talk.dom0, 0, Op.READ, "/a/b/c|", "ENOENT"),
        (talk.dom0, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.READ, "/a|", ""),
        (talk.dom0, 0, Op.READ, "/a/b|", ""),
        (talk.dom0, 0, Op.DIRECTORY, "/a|", "b|"),
        (talk.dom0, 0, Op.DIRECTORY, "/a/b|", "c|"),
        (talk.dom0, 0, Op.WRITE, "/a/b|2", OK),
        (talk.dom0, 0, Op.READ, "/a/b/c|", "1"),
    )


def test_children_are_listed_in_order_of_creation(talk):
    talk.run(
        *((talk.dom0, 0, Op.MKDIR, f"/d/{name}|", OK) for name in ("z", "a", "m")),
        (talk.dom0, 0, Op.WRITE, "/d/z|still first", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/d|", "z|a|m|"),
        (talk.dom0, 0, Op.RM, "/d/z|", OK),
        (talk.dom0, 0, Op.WRITE, "/d/z|", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/d|", "a|m|z|"),
    )


def test_mkdir_of_what_is_there_changes_nothing(talk, guest):
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a|1", OK),
        (talk.dom0, 0, Op.WATCH, "/|t|", OK),
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.MKDIR, "/|", OK),
        (talk.dom0, 0, Op.READ, "/a|", "1"),
        (guest, 0, Op.MKDIR, "/a|", "EACCES"),
    )
    assert talk.heard(talk.dom0) == ["/|t|"]


def test_rm(talk):
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.RM, "/a/x|", OK),
        (talk.dom0, 0, Op.RM, "/a/x/y|", "ENOENT"),
        (talk.dom0, 0, Op.RM, "/x|", OK),
        (talk.dom0, 0, Op.RM, "/|", "EINVAL"),
        (talk.dom0, 0, Op.READ, "/a/b/c|", "1"),
        (talk.dom0, 0, Op.RM, "/a|", OK),
        (talk.dom0, 0, Op.RM, "/a|", OK),
        (talk.dom0, 0, Op.READ, "/a/b/c|", "ENOENT"),
        (talk.dom0, 0, Op.READ, "/a|", "ENOENT"),
        (talk.dom0, 0, Op.DIRECTORY, "/|", "tool|"),
    )


def test_rm_needs_write_on_the_node_alone(talk, guest):
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a/b|n0|w5|", OK),
        (guest, 0, Op.RM, "/a/b/c|", "EACCES"),
        (guest, 0, Op.RM, "/a/b/x|", OK),
        (guest, 0, Op.RM, "/a/x|", "EACCES"),
        (guest, 0, Op.RM, "/|", "EACCES"),
        (guest, 0, Op.RM, "/a/b|", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/a|", ""),
    )


def test_missing_and_forbidden_look_alike(talk, guest):
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/open/secret/x|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/open|r0|", OK),
        (guest, 0, Op.READ, "/open/none|", "ENOENT"),
        (guest, 0, Op.READ, "/open/none/at/all|", "ENOENT"),
        (guest, 0, Op.READ, "/open/secret|", "EACCES"),
        (guest, 0, Op.READ, "/open/secret/none|", "EACCES"),
        (guest, 0, Op.READ, "/none|", "EACCES"),
        (guest, 0, Op.WRITE, "/open/none|1", "EACCES"),
        (guest, 0, Op.RM, "/open/none|", "EACCES"),
        (guest, 0, Op.SET_PERMS, "/open/none|n5|", "EACCES"),
        (guest, 0, Op.GET_PERMS, "@none|", "EACCES"),
        (talk.dom0, 0, Op.SET_PERMS, "/open/secret|n0|r5|", OK),
        (guest, 0, Op.READ, "/open/secret|", ""),
        (guest, 0, Op.READ, "/open/secret/none|", "ENOENT"),
    )


def test_no_rights_above_are_needed(talk, guest):
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a/b/c|n0|r5|", OK),
        (guest, 0, Op.READ, "/a/b/c|", "1"),
        (guest, 0, Op.READ, "/a/b|", "EACCES"),
    )


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("n0|b5|", "n5|b5|"),
        ("w0|r7|", "w5|r7|"),
        ("b0|", "b5|"),
        ("n5|", "n5|"),
    ],
)
def test_what_a_guest_makes_is_his(talk, guest, above, below):
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, f"/a|{above}", OK),
        (guest, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.GET_PERMS, "/a|", above),
        (talk.dom0, 0, Op.GET_PERMS, "/a/b|", below),
        (talk.dom0, 0, Op.GET_PERMS, "/a/b/c|", below),
    )


def test_what_dom0_makes_below_a_guests_node_is_the_guests(talk):
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n5|r7|", OK),
        (talk.dom0, 0, Op.WRITE, "/a/b/c|1", OK),
        (talk.dom0, 0, Op.GET_PERMS, "/a/b|", "n5|r7|"),
        (talk.dom0, 0, Op.GET_PERMS, "/a/b/c|", "n5|r7|"),
    )


@pytest.mark.parametrize(
    ("entries", "reads", "writes"),
    [
        ("n0|", False, False),
        ("r0|", True, False),
        ("w0|", False, True),
        ("b0|", True, True),
        ("n5|", True, True),
        ("n5|n5|", True, True),
        ("b0|n5|", False, False),
        ("n0|r5|b5|", True, False),
        ("n0|n5|b5|", False, False),
        ("n0|b7|", False, False),
        ("r0|b7|", True, False),
        ("n0|r32757|", True, False),
        ("n0|r32757|b5|", True, False),
        ("n0|w5|r32757|", False, True),
        ("n32757|", True, True),
    ],
)
def test_rights(talk, guest, entries, reads, writes):
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/a|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, f"/a|{entries}", OK),
        (guest, 0, Op.READ, "/a|", "1" if reads else "EACCES"),
        (guest, 0, Op.DIRECTORY, "/a|", "" if reads else "EACCES"),
        (guest, 0, Op.READ, "/a/none|", "ENOENT" if reads else "EACCES"),
        (guest, 0, Op.GET_PERMS, "/a|", entries if reads else "EACCES"),
        (guest, 0, Op.WRITE, "/a|2", OK if writes else "EACCES"),
        (guest, 0, Op.RM, "/a|", OK if writes else "EACCES"),
    )


def test_set_perms(talk, guest):
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a|b0|", OK),
        (guest, 0, Op.SET_PERMS, "/a|b0|", "EACCES"),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n5|", OK),
        (guest, 0, Op.SET_PERMS, "/a|n5|r0|r1|w3|b5|", OK),
        (guest, 0, Op.GET_PERMS, "/a|", "n5|r0|r1|w3|b5|"),
        (guest, 0, Op.SET_PERMS, "/a|n0|", "EPERM"),
        (guest, 0, Op.SET_PERMS, "/a|n32757|", "EPERM"),
        (guest, 0, Op.SET_PERMS, "/a/b|n5|", "ENOENT"),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n32752|", "ENOENT"),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n0|r32752|", OK),
        (talk.dom0, 0, Op.GET_PERMS, "/a|", "n0|r32752|"),
        (guest, 0, Op.SET_PERMS, "/a|n5|", "EACCES"),
        (talk.dom0, 0, Op.SET_PERMS, "/none|n0|", "ENOENT"),
    )


def test_special_nodes_have_permissions_only(talk, guest):
    talk.run(
        *((talk.dom0, 0, op, "@releaseDomain|", "EINVAL") for op in (Op.READ, Op.DIRECTORY, Op.MKDIR, Op.RM)),
        (talk.dom0, 0, Op.WRITE, "@releaseDomain|1", "EINVAL"),
        (talk.dom0, 0, Op.DIRECTORY_PART, "@releaseDomain|0|", "EINVAL"),
        (guest, 0, Op.GET_PERMS, "@releaseDomain|", "n0|r32757|"),
        (guest, 0, Op.SET_PERMS, "@releaseDomain|n0|", "EACCES"),
        (guest, 0, Op.GET_PERMS, "@introduceDomain|", "EACCES"),
        (talk.dom0, 0, Op.SET_PERMS, "@introduceDomain|n0|r5|", OK),
        (guest, 0, Op.GET_PERMS, "@introduceDomain|", "n0|r5|"),
        (talk.dom0, 0, Op.SET_PERMS, "@none|n0|", "ENOENT"),
    )


def walk(talk, path):
    """List a directory as clients do with DIRECTORY_PART."""
    names, offset, seen = "", 0, None
    while True:
        generation, _, part = talk.ask(talk.dom0, Op.DIRECTORY_PART, f"{path}|{offset}|").partition("|")
        assert seen in (None, generation)
        seen = generation
        if part == "|" or part.endswith("||"):
            return names + part[:-1]
        names, offset = names + part, offset + len(part)


def test_large_directory(talk):
    names = [f"child-{number:04}" for number in range(5000)]
    for name in names:
        assert talk.ask(talk.dom0, Op.MKDIR, f"/d/{name}|") == OK
    assert talk.ask(talk.dom0, Op.DIRECTORY, "/d|") == "E2BIG"
    assert walk(talk, "/d") == "".join(f"{name}|" for name in names)


def test_directory_part(talk):
    def part(offset):
        return talk.ask(talk.dom0, Op.DIRECTORY_PART, f"/d|{offset}|")

    talk.run(*((talk.dom0, 0, Op.MKDIR, f"/d/{name}|", OK) for name in ("ab", "c")))
    generation = part(0).partition("|")[0]
    assert part(0) == f"{generation}|ab|c||"
    assert part(3) == f"{generation}|c||"
    assert part(4) == f"{generation}|||"
    assert part(5) == part(99) == f"{generation}||"
    talk.run((talk.dom0, 0, Op.WRITE, "/d/ab/new|", OK))
    assert part(0).startswith(f"{generation}|")
    talk.run((talk.dom0, 0, Op.RM, "/d/c|", OK))
    assert int(part(0).partition("|")[0]) > int(generation)
    assert walk(talk, "/d/ab/new") == ""


def test_directory_part_fills_the_message_with_whole_names(talk):
    for _ in range(20):  # so that the generation keeps its number of digits
        talk.run((talk.dom0, 0, Op.WRITE, "/d|", OK))
    for number in range(2):
        talk.run((talk.dom0, 0, Op.MKDIR, f"/d/{number}{'x' * 2037}|", OK))
    generation = talk.ask(talk.dom0, Op.DIRECTORY_PART, "/d|9999|").partition("|")[0]
    room = 4096 - len(f"{generation}|") - 1
    talk.run((talk.dom0, 0, Op.MKDIR, f"/d/{'y' * (room - 2 * 2039 - 1)}|", OK))
    assert len(talk.ask(talk.dom0, Op.DIRECTORY_PART, "/d|0|")) == 4096
    talk.run((talk.dom0, 0, Op.MKDIR, "/d/z|", OK))
    assert len(talk.ask(talk.dom0, Op.DIRECTORY_PART, "/d|0|")) == 4095
    assert walk(talk, "/d").endswith("y|z|")


def test_directory_that_fills_one_message(talk):
    talk.run(
        (talk.dom0, 0, Op.MKDIR, f"/d/{'a' * 2047}|", OK), (talk.dom0, 0, Op.MKDIR, f"/d/{'b' * 2047}|", OK)
    )
    assert len(talk.ask(talk.dom0, Op.DIRECTORY, "/d|")) == 4096
    talk.run((talk.dom0, 0, Op.MKDIR, "/d/c|", OK), (talk.dom0, 0, Op.DIRECTORY, "/d|", "E2BIG"))


def test_deep_tree(talk):
    """Deeper than Python's recursion limit, as deep as a path may be."""
    levels = 1500
    path = "/d" * levels
    first = talk.ask(talk.dom0, Op.TRANSACTION_START, "").rstrip("|")
    talk.run(
        (talk.dom0, 0, Op.WRITE, f"{path}|1", OK),
        (talk.dom0, 0, Op.READ, f"{path}|", "1"),
        (talk.dom0, 0, Op.DIRECTORY, f"{'/d' * (levels - 1)}|", "d|"),
        (talk.dom0, int(first), Op.WRITE, f"{'/e' * levels}|2", OK),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
        (talk.dom0, 0, Op.SET_PERMS, f"{path}|n5|", OK),
        (talk.dom0, 0, Op.INTRODUCE, "5|1|1|", OK),
        (talk.dom0, 0, Op.RELEASE, "5|", OK),
        (talk.dom0, 0, Op.READ, f"{path}|", "ENOENT"),
        (talk.dom0, 0, Op.RM, "/d|", OK),
        (talk.dom0, int(first), Op.TRANSACTION_END, "T|", "EAGAIN"),
        (talk.dom0, 0, Op.DIRECTORY, "/|", "tool|"),
    )


def test_deep_transaction_is_replayed(talk):
    path = "/e" * 1500
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/other|1", OK),
        (talk.dom0, 0, Op.TRANSACTION_START, "", "1|"),
        (talk.dom0, 1, Op.WRITE, f"{path}|2", OK),
        (talk.dom0, 0, Op.WRITE, "/other|2", OK),
        (talk.dom0, 1, Op.TRANSACTION_END, "T|", OK),
        (talk.dom0, 0, Op.READ, f"{path}|", "2"),
        (talk.dom0, 0, Op.READ, "/other|", "2"),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )
