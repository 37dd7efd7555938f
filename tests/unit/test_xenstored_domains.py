"""Domains come and go: events, rights, features, quotas, and nothing left of the dead."""

import pytest
from store_dialogue import OK, Dialogue

from xenwire.xenstore.wire import Op
from xenwire.xenstored.quotas import Quotas


@pytest.fixture
def talk():
    return Dialogue()


def note(talk, effects):
    for effect in effects:
        talk.note(effect)


def introduce(talk, *domids):
    for domid in domids:
        assert talk.ask(talk.dom0, Op.INTRODUCE, f"{domid}|1|2|") == OK


def test_introduction(talk):
    talk.run(
        (talk.dom0, 0, Op.WATCH, "@introduceDomain|t|", OK),
        (talk.dom0, 0, Op.IS_DOMAIN_INTRODUCED, "5|", "F|"),
        (talk.dom0, 0, Op.IS_DOMAIN_INTRODUCED, "0|", "T|"),
        (talk.dom0, 0, Op.IS_DOMAIN_INTRODUCED, "32752|", "T|"),
        (talk.dom0, 0, Op.IS_DOMAIN_INTRODUCED, "65535|", "F|"),
    )
    talk.heard(talk.dom0)
    introduce(talk, 5)
    assert talk.noted == [(talk.dom0, "event @introduceDomain|t|"), (talk.dom0, OK)]
    assert talk.ask(talk.dom0, Op.IS_DOMAIN_INTRODUCED, "5|") == "T|"
    talk.heard(talk.dom0)
    introduce(talk, 5, 0)
    assert talk.heard(talk.dom0) == []


def test_second_introduction_starts_afresh(talk):
    guest = talk.guest(5)
    introduce(talk, 5)
    talk.run(
        (guest, 0, Op.WATCH, "/a|t|", OK),
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (talk.dom0, 0, Op.WATCH, "/a|t|", OK),
    )
    introduce(talk, 5, 0)
    talk.run(
        (guest, 0, Op.UNWATCH, "/a|t|", "ENOENT"),
        (guest, 1, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, 0, Op.UNWATCH, "/a|t|", OK),
    )


def test_release_errors(talk):
    for op in (Op.RELEASE, Op.RESUME):
        talk.run((talk.dom0, 0, op, "0|", "EINVAL"), (talk.dom0, 0, op, "5|", "ENOENT"))
    introduce(talk, 5)
    talk.run((talk.dom0, 0, Op.RELEASE, "5|", OK), (talk.dom0, 0, Op.RELEASE, "5|", "ENOENT"))


def test_nothing_is_left_of_a_released_domain(talk):
    guest = talk.guest(5)
    introduce(talk, 5)
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/local/domain/5/name|g", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/local/domain/5|n0|r5|r7|", OK),
        (talk.dom0, 0, Op.WRITE, "/local/domain/5/data/x|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/local/domain/5/data|n5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/tool|n5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/|r5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "@introduceDomain|w5|r5|b7|", OK),
        (guest, 0, Op.WATCH, "/|t|", OK),
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (talk.dom0, 0, Op.WATCH, "/|t|", OK),
        (talk.dom0, 0, Op.WATCH, "@releaseDomain|t|", OK),
        (talk.dom0, 0, Op.WATCH, "/local/domain/5/data/x|u|", OK),
    )
    talk.heard(talk.dom0)
    talk.run((talk.dom0, 0, Op.RELEASE, "5|", OK))
    assert [text for _, text in talk.noted] == [
        "event /tool|t|",
        "event /local/domain/5/data/x|u|",
        "event /local/domain/5/data|t|",
        "event @releaseDomain|t|",
        OK,
    ]
    talk.run(
        (guest, 0, Op.UNWATCH, "/|t|", "ENOENT"),
        (guest, 1, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, 0, Op.DIRECTORY, "/|", "local|"),
        (talk.dom0, 0, Op.GET_PERMS, "/|", "r0|"),
        (talk.dom0, 0, Op.GET_PERMS, "/local/domain/5|", "n0|r7|"),
        (talk.dom0, 0, Op.DIRECTORY, "/local/domain/5|", "name|"),
        (talk.dom0, 0, Op.GET_PERMS, "@introduceDomain|", "w0|b7|"),
        (talk.dom0, 0, Op.IS_DOMAIN_INTRODUCED, "5|", "F|"),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )


def test_purge_gets_in_the_way_of_transactions(talk):
    introduce(talk, 5)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n0|r5|", OK),
        (talk.dom0, 0, Op.TRANSACTION_START, "", "1|"),
        (talk.dom0, 1, Op.GET_PERMS, "/a|", "n0|r5|"),
        (talk.dom0, 1, Op.RELEASE, "5|", OK),
        (talk.dom0, 1, Op.GET_PERMS, "/a|", "n0|r5|"),
        (talk.dom0, 1, Op.TRANSACTION_END, "T|", "EAGAIN"),
    )


def test_release_events(talk):
    introduce(talk, 5, 6)
    tokens = {"plain": None, "zero": 0, "one": 1, "two": 2}
    for token, depth in tokens.items():
        levels = "" if depth is None else f"{depth}|"
        talk.run((talk.dom0, 0, Op.WATCH, f"@releaseDomain|{token}|{levels}", OK))
    talk.run(
        (talk.dom0, 0, Op.WATCH, "@releaseDomain/5|five|", OK),
        (talk.dom0, 0, Op.WATCH, "@releaseDomain/5|five|", "EEXIST"),
        (talk.dom0, 0, Op.WATCH, "@releaseDomain/5|deep|0|", OK),
        (talk.dom0, 0, Op.WATCH, "/|root|", OK),
    )
    talk.heard(talk.dom0)
    talk.run((talk.dom0, 0, Op.RELEASE, "5|", OK))
    named = [f"@releaseDomain/5|{token}|" for token in ("one", "two", "five", "deep")]
    assert talk.heard(talk.dom0) == ["@releaseDomain|plain|", *named]
    talk.run((talk.dom0, 0, Op.RELEASE, "6|", OK))
    named = [f"@releaseDomain/6|{token}|" for token in ("one", "two")]
    assert talk.heard(talk.dom0) == ["@releaseDomain|plain|", *named]


@pytest.mark.parametrize(
    ("entries", "heard"),
    [("n0|", False), ("n0|r5|", True), ("r0|", True), ("n0|r32757|", True), ("n0|w5|", False)],
)
def test_special_events_need_read_on_the_special_node(talk, entries, heard):
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.SET_PERMS, f"@releaseDomain|{entries}", OK),
        (guest, 0, Op.WATCH, "@releaseDomain|t|", OK),
    )
    introduce(talk, 6)
    talk.heard(guest)
    talk.run((talk.dom0, 0, Op.RELEASE, "6|", OK))
    assert talk.heard(guest) == ["@releaseDomain|t|"] * heard


def test_guests_hear_of_releases_but_not_of_introductions(talk):
    guest = talk.guest(5)
    talk.run((guest, 0, Op.WATCH, "@releaseDomain|t|", OK), (guest, 0, Op.WATCH, "@introduceDomain|t|", OK))
    talk.heard(guest)
    introduce(talk, 6)
    talk.run((talk.dom0, 0, Op.RELEASE, "6|", OK))
    assert talk.heard(guest) == ["@releaseDomain|t|"]


def test_shutdown_is_told_once_until_resume(talk):
    introduce(talk, 5)
    talk.run((talk.dom0, 0, Op.WATCH, "@releaseDomain|t|1|", OK))
    talk.heard(talk.dom0)
    told = []
    for step in ("shut down", "shut down", "resume", "shut down", "kill", "kill"):
        if step == "resume":
            talk.run((talk.dom0, 0, Op.RESUME, "5|", OK))
        else:
            note(talk, talk.engine.shut_down(5) if step == "shut down" else talk.engine.kill(5))
        told.append(talk.heard(talk.dom0))
    event = ["@releaseDomain/5|t|"]
    assert told == [event, [], [], event, event, []]
    assert talk.engine.shut_down(9) == talk.engine.kill(0) == []


def test_no_node_can_be_given_to_the_dead(talk):
    introduce(talk, 5)
    note(talk, talk.engine.kill(5))
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n5|", "ENOENT"),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n0|r5|", OK),
        (talk.dom0, 0, Op.GET_PERMS, "/a|", "n0|r5|"),
        (talk.dom0, 0, Op.GET_FEATURE, "5|", "ENOENT"),
    )
    with pytest.raises(ValueError, match="no domain 5"):
        talk.guest(5)
    introduce(talk, 5)
    heir = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.GET_PERMS, "/a|", "n0|"),
        (heir, 0, Op.READ, "/a|", "EACCES"),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n5|", OK),
    )


def test_released_domains_may_come_back_without_introduction(talk):
    """As a toolstack does that reuses an id: it writes the nodes first."""
    introduce(talk, 5)
    talk.run(
        (talk.dom0, 0, Op.RELEASE, "5|", OK),
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n5|", OK),
    )


def test_target(talk):
    stub = talk.guest(6)
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/local/domain/5/x|1", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/local/domain/5|n5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/local/domain/5/x|n0|r5|", OK),
        (talk.dom0, 0, Op.SET_TARGET, "6|5|", "ENOENT"),
    )
    introduce(talk, 6)
    talk.run((talk.dom0, 0, Op.SET_TARGET, "6|5|", "ENOENT"))
    introduce(talk, 5)
    talk.run(
        (stub, 0, Op.READ, "/local/domain/5/x|", "EACCES"),
        (stub, 0, Op.SET_TARGET, "6|5|", "EACCES"),
        (talk.dom0, 0, Op.SET_TARGET, "6|5|", OK),
        (stub, 0, Op.READ, "/local/domain/5/x|", "1"),
        (stub, 0, Op.WRITE, "/local/domain/5/x|2", "EACCES"),
        (stub, 0, Op.WRITE, "/local/domain/5/y|1", OK),
        (talk.dom0, 0, Op.GET_PERMS, "/local/domain/5/y|", "n6|"),
        (stub, 0, Op.SET_PERMS, "/local/domain/5|n5|r7|", OK),
        (stub, 0, Op.SET_PERMS, "/local/domain/5|n6|", "EPERM"),
        (stub, 0, Op.MKDIR, "x|", "EACCES"),
        (stub, 0, Op.RELEASE, "5|", "EACCES"),
        (talk.dom0, 0, Op.RELEASE, "5|", OK),
        (stub, 0, Op.READ, "/local/domain/5/x|", "EACCES"),
        (talk.dom0, 0, Op.RELEASE, "6|", OK),
    )


def test_target_going_first_takes_its_rights_along(talk):
    """XSA-233, and an heir of the target's id is no target."""
    stub = talk.guest(6)
    introduce(talk, 5, 6)
    talk.run(
        (talk.dom0, 0, Op.SET_TARGET, "6|5|", OK),
        (talk.dom0, 0, Op.RELEASE, "5|", OK),
        (talk.dom0, 0, Op.MKDIR, "/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/a|n5|", OK),
        (stub, 0, Op.READ, "/a|", "EACCES"),
    )


def test_features(talk):
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.GET_FEATURE, "", "15|"),
        (guest, 0, Op.GET_FEATURE, "", "15|"),
        (guest, 0, Op.GET_FEATURE, "5|", "EACCES"),
        (talk.dom0, 0, Op.SET_FEATURE, "5|16|", "EINVAL"),
        (talk.dom0, 0, Op.SET_FEATURE, "5|11|", OK),
        (talk.dom0, 0, Op.GET_FEATURE, "5|", "11|"),
        (guest, 0, Op.GET_FEATURE, "", "11|"),
        (guest, 0, Op.WATCH, "/a|t|0|", "EINVAL"),
        (guest, 0, Op.WATCH, "/a|t|", OK),
        (talk.dom0, 0, Op.GET_FEATURE, "32752|", "ENOENT"),
    )
    introduce(talk, 5)
    talk.run(
        (talk.dom0, 0, Op.SET_FEATURE, "5|15|", "EBUSY"),
        (talk.dom0, 0, Op.SET_FEATURE, "0|15|", "EBUSY"),
        (talk.dom0, 0, Op.GET_FEATURE, "5|", "11|"),
    )


def test_quota_requests(talk):
    names = "nodes watches transactions transaction-nodes node-permissions path-max node-size"
    talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.GET_QUOTA, "", f"{names}|"),
        (talk.dom0, 0, Op.GET_QUOTA, "nodes|", "1000|"),
        (talk.dom0, 0, Op.GET_QUOTA, "none|", "EINVAL"),
        (talk.dom0, 0, Op.SET_QUOTA, "none|1|", "EINVAL"),
        (talk.dom0, 0, Op.SET_QUOTA, "nodes|x|", "EINVAL"),
        (talk.dom0, 0, Op.SET_QUOTA, "nodes|7|", OK),
        (talk.dom0, 0, Op.GET_QUOTA, "nodes|", "7|"),
        (talk.dom0, 0, Op.GET_QUOTA, "5|nodes|", "1000|"),
        (talk.dom0, 0, Op.GET_QUOTA, "6|nodes|", "7|"),
        (talk.dom0, 0, Op.SET_QUOTA, "5|node-size|9|", OK),
        (talk.dom0, 0, Op.GET_QUOTA, "5|node-size|", "9|"),
        (talk.dom0, 0, Op.GET_QUOTA, "6|node-size|", "2048|"),
        (talk.dom0, 0, Op.GET_QUOTA, "32752|nodes|", "ENOENT"),
    )


@pytest.mark.parametrize("limit", [1, 2, 5, 0])
@pytest.mark.parametrize("quota", ["nodes", "watches", "transactions"])
def test_exactly_the_limit_is_admitted(quota, limit):
    requests = {
        "nodes": [(Op.MKDIR, f"/g/{number}|") for number in range(8)],
        "watches": [(Op.WATCH, f"/a|{number}|") for number in range(8)],
        "transactions": [(Op.TRANSACTION_START, "")] * 8,
    }[quota]
    talk = Dialogue(Quotas(**{quota: limit}))
    guest = talk.guest(5)
    talk.run((talk.dom0, 0, Op.MKDIR, "/g|", OK), (talk.dom0, 0, Op.SET_PERMS, "/g|b0|", OK))
    answers = [talk.ask(guest, *request) for request in requests]
    admitted = limit or 8
    assert "ENOSPC" not in answers[:admitted]
    assert answers[admitted:] == ["ENOSPC"] * (8 - admitted)
    assert "ENOSPC" not in [talk.ask(talk.dom0, *request) for request in requests]


def test_node_quota_counts_all_levels_and_gives_back():
    talk = Dialogue(Quotas(nodes=3))
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g|b0|", OK),
        (guest, 0, Op.MKDIR, "/g/a/b/c/d|", "ENOSPC"),
        (talk.dom0, 0, Op.DIRECTORY, "/g|", ""),
        (guest, 0, Op.MKDIR, "/g/a/b/c|", OK),
        (guest, 0, Op.MKDIR, "/g/x|", "ENOSPC"),
        (talk.dom0, 0, Op.WRITE, "/g/a/of-5|", OK),
        (talk.dom0, 0, Op.RM, "/g/a/of-5|", OK),
        (talk.dom0, 0, Op.RM, "/g/a|", OK),
        (guest, 0, Op.MKDIR, "/g/a/b/c|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g/a/b|n7|", OK),
        (guest, 0, Op.MKDIR, "/g/x|", OK),
    )


def test_watch_and_transaction_quotas_give_back():
    talk = Dialogue(Quotas(watches=1, transactions=1))
    guest = talk.guest(5)
    for _ in range(3):
        talk.run((guest, 0, Op.WATCH, "/a|t|", OK), (guest, 0, Op.UNWATCH, "/a|t|", OK))
        tx = int(talk.ask(guest, Op.TRANSACTION_START)[:-1])
        talk.run((guest, tx, Op.TRANSACTION_END, "T|", OK))


@pytest.mark.parametrize(("size", "answer"), [(2047, OK), (2048, OK), (2049, "ENOSPC")])
def test_node_size(talk, size, answer):
    guest = talk.guest(5)
    talk.run((talk.dom0, 0, Op.MKDIR, "/g|", OK), (talk.dom0, 0, Op.SET_PERMS, "/g|b0|", OK))
    value = "x" * (size - 16 - 8)
    talk.run(
        (guest, 0, Op.WRITE, f"/g/a|{value}", answer),
        (guest, 0, Op.WRITE, "/g/b|", OK),
        (guest, 0, Op.WRITE, f"/g/b|{value}", answer),
        (talk.dom0, 0, Op.WRITE, f"/g/b|{value}", OK),
    )


@pytest.mark.parametrize(("size", "answer"), [(2048, OK), (2049, "ENOSPC")])
def test_node_size_of_a_directory(talk, size, answer):
    guest = talk.guest(5)
    names = [f"{first}{'x' * 999}" for first in "ab"]
    last = "c" * (size - 16 - 8 - 2 * 1001 - 1)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g|b0|", OK),
        *((guest, 0, Op.MKDIR, f"/g/{name}|", OK) for name in names),
        (guest, 0, Op.MKDIR, f"/g/{last}|", answer),
        (guest, 0, Op.RM, f"/g/{names[0]}|", OK),
    )


def test_node_size_of_a_level_between(talk):
    guest = talk.guest(5)
    name = "x" * (2048 - 16 - 8)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g|b0|", OK),
        (guest, 0, Op.MKDIR, f"/g/a/{name}|", "ENOSPC"),
        (guest, 0, Op.MKDIR, f"/g/a/{name[1:]}|", OK),
    )


def test_node_permissions(talk):
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g|n5|", OK),
        (guest, 0, Op.SET_PERMS, "/g|n5|r1|r2|r3|r4|", OK),
        (guest, 0, Op.SET_PERMS, "/g|n5|r1|r2|r3|r4|r6|", "ENOSPC"),
        (talk.dom0, 0, Op.SET_PERMS, "/g|n5|r1|r2|r3|r4|r6|", OK),
    )


def test_transaction_nodes():
    talk = Dialogue(Quotas(transaction_nodes=3))
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.SET_PERMS, "/|b0|", OK),
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (guest, 1, Op.READ, "/a|", "ENOENT"),
        (guest, 1, Op.READ, "/a|", "ENOENT"),
        (guest, 1, Op.READ, "/b|", "ENOENT"),
        (guest, 1, Op.READ, "/c|", "ENOSPC"),
        (guest, 1, Op.READ, "/b|", "ENOENT"),
        (guest, 1, Op.TRANSACTION_END, "T|", "ENOMEM"),
    )


def test_control(talk):
    talk.run(
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
        (talk.dom0, 0, Op.CONTROL, "check|more|", "EINVAL"),
        (talk.dom0, 0, Op.CONTROL, "print|", "EINVAL"),
        (talk.dom0, 0, Op.CONTROL, "none|", "EINVAL"),
        (talk.dom0, 0, Op.CONTROL, "|", "EINVAL"),
        (
            talk.dom0,
            0,
            Op.CONTROL,
            "help|",
            "check           \nhelp            \nprint           <string>\n|",
        ),
    )
    talk.noted.clear()
    assert talk.ask(talk.dom0, Op.CONTROL, "print|a\nb\xff|") == OK
    assert talk.noted == [(None, "print: a\\nb\\xff"), (talk.dom0, OK)]
