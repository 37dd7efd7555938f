"""Isolation, conflicts, events and accounts of transactions."""

import pytest
from store_dialogue import OK, Dialogue

from xenwire.xenstore.wire import Op
from xenwire.xenstored.connection import Connection, Domain
from xenwire.xenstored.quotas import DEFAULT_QUOTAS, Quotas
from xenwire.xenstored.transaction import Transaction
from xenwire.xenstored.tree import Tree


@pytest.fixture
def talk():
    talk = Dialogue()
    talk.other = talk.engine.connect()
    talk.run(
        (talk.dom0, 0, Op.WRITE, "/d/a|1", OK),
        (talk.dom0, 0, Op.WRITE, "/d/b|1", OK),
        (talk.dom0, 0, Op.WRITE, "/e/a/x|1", OK),
    )
    return talk


def start(talk, connection=None):
    return int(talk.ask(connection or talk.dom0, Op.TRANSACTION_START)[:-1])


def commit(talk, tx, connection=None):
    return talk.ask(connection or talk.dom0, Op.TRANSACTION_END, "T|", tx)


def test_sees_its_own_changes_alone(talk):
    tx = start(talk)
    talk.run(
        (talk.dom0, tx, Op.WRITE, "/d/a|2", OK),
        (talk.dom0, tx, Op.WRITE, "/n/m|2", OK),
        (talk.dom0, tx, Op.RM, "/e|", OK),
        (talk.other, 0, Op.WRITE, "/d/b|3", OK),
        (talk.dom0, tx, Op.READ, "/d/a|", "2"),
        (talk.dom0, tx, Op.READ, "/d/b|", "1"),
        (talk.dom0, tx, Op.DIRECTORY, "/|", "tool|d|n|"),
        (talk.dom0, tx, Op.READ, "/e/a|", "ENOENT"),
        (talk.other, 0, Op.READ, "/d/a|", "1"),
        (talk.other, 0, Op.DIRECTORY, "/|", "tool|d|e|"),
        (talk.dom0, tx, Op.TRANSACTION_END, "F|", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/|", "tool|d|e|"),
        (talk.dom0, 0, Op.READ, "/d/b|", "3"),
    )


def test_commit_without_company(talk):
    tx = start(talk)
    talk.run(
        (talk.dom0, tx, Op.WRITE, "/n/m|2", OK),
        (talk.dom0, tx, Op.SET_PERMS, "/d|n5|", OK),
        (talk.dom0, tx, Op.TRANSACTION_END, "T|", OK),
        (talk.dom0, 0, Op.READ, "/n/m|", "2"),
        (talk.dom0, 0, Op.GET_PERMS, "/d|", "n5|"),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )


def test_ids(talk):
    talk.run(
        (talk.dom0, 0, Op.TRANSACTION_START, "", "1|"),
        (talk.dom0, 0, Op.TRANSACTION_START, "", "2|"),
        (talk.other, 0, Op.TRANSACTION_START, "", "1|"),
        (talk.other, 2, Op.READ, "/d|", "ENOENT"),
        (talk.dom0, 1, Op.TRANSACTION_START, "", "EBUSY"),
        (talk.dom0, 0, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, 1, Op.TRANSACTION_END, "X|", "EINVAL"),
        (talk.dom0, 1, Op.TRANSACTION_END, "T", "EINVAL"),
        (talk.dom0, 1, Op.TRANSACTION_END, "T||", "EINVAL"),
        (talk.dom0, 1, Op.TRANSACTION_END, "", "EINVAL"),
        (talk.dom0, 1, Op.READ, "/d|", ""),
        (talk.dom0, 1, Op.TRANSACTION_END, "T|", OK),
        (talk.dom0, 1, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, 2, Op.TRANSACTION_END, "F|", OK),
        (talk.dom0, 0, Op.TRANSACTION_START, "", "3|"),
        (talk.other, 1, Op.TRANSACTION_END, "T|", OK),
    )


def test_ids_wrap_over_zero_and_those_in_use():
    connection = Connection(0, Domain(0, DEFAULT_QUOTAS), privileged=True)
    transaction = Transaction(Tree.initial(), 0)
    assert connection.open(transaction) == 1
    connection._last_id = 2**32 - 2
    assert connection.open(transaction) == 2**32 - 1
    assert connection.open(transaction) == 2


INSIDE = {
    "read": (Op.READ, "/d/a|"),
    "list": (Op.DIRECTORY, "/d|"),
    "permissions": (Op.GET_PERMS, "/d/a|"),
    "read absent": (Op.READ, "/d/n|"),
    "read deep absent": (Op.READ, "/d/n/m/o|"),
    "write": (Op.WRITE, "/d/a|2"),
    "create": (Op.WRITE, "/d/n|2"),
    "remove": (Op.RM, "/d/a|"),
    "set permissions": (Op.SET_PERMS, "/d/a|n5|"),
    "remove tree": (Op.RM, "/e|"),
    "mkdir of what is there": (Op.MKDIR, "/d/a|"),
}
OUTSIDE = {
    "write a": (Op.WRITE, "/d/a|3"),
    "write b": (Op.WRITE, "/d/b|3"),
    "write d": (Op.WRITE, "/d|3"),
    "create n": (Op.WRITE, "/d/n|3"),
    "create k": (Op.WRITE, "/d/k|3"),
    "remove a": (Op.RM, "/d/a|"),
    "remove b": (Op.RM, "/d/b|"),
    "remove d": (Op.RM, "/d|"),
    "permissions of a": (Op.SET_PERMS, "/d/a|n7|"),
    "permissions of d": (Op.SET_PERMS, "/d|n7|"),
    "write below e": (Op.WRITE, "/e/a/x|3"),
    "create below e": (Op.WRITE, "/e/a/n|3"),
    "elsewhere": (Op.WRITE, "/k|3"),
}
A_CHANGED = {"write a", "remove a", "remove d", "permissions of a"}
D_CHANGED = {"write d", "create n", "create k", "remove a", "remove b", "remove d", "permissions of d"}
CONFLICTS = {
    "read": A_CHANGED,
    "list": D_CHANGED,
    "permissions": A_CHANGED,
    "read absent": D_CHANGED,
    "read deep absent": D_CHANGED,
    "write": A_CHANGED,
    "create": D_CHANGED,
    "remove": A_CHANGED | D_CHANGED,
    "set permissions": A_CHANGED,
    "remove tree": {"remove d", "write below e", "create below e", "elsewhere"},
    "mkdir of what is there": A_CHANGED,
}


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("outside", OUTSIDE)
def test_conflicts(talk, inside, outside):
    tx = start(talk)
    talk.ask(talk.dom0, *INSIDE[inside], tx)
    talk.ask(talk.other, *OUTSIDE[outside])
    answer = commit(talk, tx)
    assert answer == ("EAGAIN" if outside in CONFLICTS[inside] else OK)
    assert talk.ask(talk.dom0, Op.READ, "/d/a|", tx) == "ENOENT"
    assert talk.ask(talk.dom0, Op.CONTROL, "check|") == OK


def test_both_changes_are_there_afterwards(talk):
    tx = start(talk)
    talk.run(
        (talk.dom0, tx, Op.WRITE, "/n/z|1", OK),
        (talk.dom0, tx, Op.WRITE, "/n/a|1", OK),
        (talk.dom0, tx, Op.WRITE, "/d/a|2", OK),
        (talk.dom0, tx, Op.SET_PERMS, "/n|n5|", OK),
        (talk.dom0, tx, Op.RM, "/n/z|", OK),
        (talk.dom0, tx, Op.WRITE, "/n/z/y|2", OK),
        (talk.other, 0, Op.WRITE, "/d/b|3", OK),
        (talk.other, 0, Op.WRITE, "/e/k|3", OK),
        (talk.dom0, tx, Op.TRANSACTION_END, "T|", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/|", "tool|d|e|n|"),
        (talk.dom0, 0, Op.DIRECTORY, "/n|", "a|z|"),
        (talk.dom0, 0, Op.READ, "/n/z/y|", "2"),
        (talk.dom0, 0, Op.GET_PERMS, "/n|", "n5|"),
        (talk.dom0, 0, Op.GET_PERMS, "/n/z|", "n5|"),
        (talk.dom0, 0, Op.READ, "/d/a|", "2"),
        (talk.dom0, 0, Op.READ, "/d/b|", "3"),
        (talk.dom0, 0, Op.READ, "/e/k|", "3"),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )


def test_order_of_siblings_is_kept(talk):
    tx = start(talk)
    talk.run(
        (talk.dom0, tx, Op.RM, "/d/a|", OK),
        (talk.dom0, tx, Op.WRITE, "/d/k|", OK),
        (talk.dom0, tx, Op.WRITE, "/d/a|2", OK),
        (talk.dom0, tx, Op.DIRECTORY, "/d|", "b|k|a|"),
        (talk.other, 0, Op.WRITE, "/e|3", OK),
        (talk.dom0, tx, Op.TRANSACTION_END, "T|", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/d|", "b|k|a|"),
    )


def test_what_a_commit_makes_is_a_change_to_others(talk):
    first, second = start(talk), start(talk, talk.other)
    talk.run(
        (talk.other, second, Op.DIRECTORY, "/d|", "a|b|"),
        (talk.dom0, first, Op.WRITE, "/d/n|", OK),
        (talk.dom0, 0, Op.WRITE, "/e|3", OK),
        (talk.dom0, first, Op.TRANSACTION_END, "T|", OK),
        (talk.other, second, Op.TRANSACTION_END, "T|", "EAGAIN"),
    )


def test_replaced_subtree(talk):
    """What was below a node that is removed and made anew does not come back."""
    tx = start(talk)
    talk.run(
        (talk.dom0, tx, Op.WRITE, "/e/a/x|2", OK),
        (talk.dom0, tx, Op.RM, "/e|", OK),
        (talk.dom0, tx, Op.WRITE, "/e/b|2", OK),
        (talk.other, 0, Op.WRITE, "/d/b|3", OK),
        (talk.dom0, tx, Op.TRANSACTION_END, "T|", OK),
        (talk.dom0, 0, Op.DIRECTORY, "/e|", "b|"),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )


def test_the_first_of_two_wins(talk):
    first, second = start(talk), start(talk, talk.other)
    talk.run(
        (talk.dom0, first, Op.READ, "/d/a|", "1"),
        (talk.other, second, Op.READ, "/d/a|", "1"),
        (talk.dom0, first, Op.WRITE, "/d/a|2", OK),
        (talk.other, second, Op.WRITE, "/d/a|3", OK),
        (talk.dom0, first, Op.TRANSACTION_END, "T|", OK),
        (talk.other, second, Op.TRANSACTION_END, "T|", "EAGAIN"),
        (talk.dom0, 0, Op.READ, "/d/a|", "2"),
    )


def test_two_that_remove_the_same(talk):
    """XSA-440."""
    first, second = start(talk), start(talk, talk.other)
    talk.run(
        (talk.dom0, first, Op.RM, "/e|", OK),
        (talk.other, second, Op.RM, "/e|", OK),
        (talk.dom0, first, Op.TRANSACTION_END, "T|", OK),
        (talk.other, second, Op.TRANSACTION_END, "T|", "EAGAIN"),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )


def test_events_come_with_the_commit_in_order_of_first_touch(talk):
    talk.run((talk.other, 0, Op.WATCH, "/|t|", OK))
    talk.heard(talk.other)
    tx = start(talk)
    talk.run(
        (talk.dom0, tx, Op.READ, "/d/b|", "1"),
        (talk.dom0, tx, Op.WRITE, "/d/a|2", OK),
        (talk.dom0, tx, Op.WRITE, "/n/m|2", OK),
        (talk.dom0, tx, Op.WRITE, "/d/b|2", OK),
        (talk.dom0, tx, Op.WRITE, "/d/a|3", OK),
        (talk.dom0, tx, Op.SET_PERMS, "/d/a|n5|", OK),
        (talk.dom0, tx, Op.WRITE, "/n|2", OK),
        (talk.dom0, tx, Op.WRITE, "/gone|", OK),
        (talk.dom0, tx, Op.RM, "/gone|", OK),
    )
    assert talk.heard(talk.other) == []
    assert commit(talk, tx) == OK
    assert talk.heard(talk.other) == ["/d/b|t|", "/d/a|t|", "/n/m|t|", "/n|t|"]


def test_removal_inside_fires_children_that_were_there(talk):
    talk.run(*((talk.other, 0, Op.WATCH, f"{path}|t|", OK) for path in ("/", "/e", "/e/a/x", "/e/n", "/d/a")))
    talk.heard(talk.other)
    tx = start(talk)
    talk.run((talk.dom0, tx, Op.WRITE, "/e/n|", OK), (talk.dom0, tx, Op.RM, "/e|", OK))
    assert commit(talk, tx) == OK
    assert talk.heard(talk.other) == ["/e|t|", "/e|t|", "/e/a/x|t|"]


def test_what_is_written_before_it_is_removed_is_told_to_all_above(talk):
    talk.run((talk.other, 0, Op.WATCH, "/e|t|", OK))
    talk.heard(talk.other)
    tx = start(talk)
    talk.run((talk.dom0, tx, Op.WRITE, "/e/a/x|2", OK), (talk.dom0, tx, Op.RM, "/e|", OK))
    assert commit(talk, tx) == OK
    assert talk.heard(talk.other) == ["/e/a/x|t|", "/e|t|"]


@pytest.mark.parametrize("ending", ["F|", "T|", None])
def test_no_events_if_nothing_comes_of_it(talk, ending):
    talk.run((talk.other, 0, Op.WATCH, "/|t|", OK))
    tx = start(talk)
    talk.run((talk.dom0, tx, Op.WRITE, "/d/a|2", OK), (talk.other, 0, Op.WRITE, "/d/a|3", OK))
    talk.heard(talk.other)
    if ending:
        talk.ask(talk.dom0, Op.TRANSACTION_END, ending, tx)
    else:
        talk.engine.disconnect(talk.dom0)
    assert talk.heard(talk.other) == []
    assert talk.ask(talk.other, Op.READ, "/d/a|") == "3"


def test_watchers_of_what_goes_are_judged_by_what_it_was(talk):
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.SET_PERMS, "/e/a|n0|r5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/d|n0|r5|", OK),
        (guest, 0, Op.WATCH, "/|t|", OK),
    )
    talk.heard(guest)
    tx = start(talk)
    talk.run((talk.dom0, tx, Op.RM, "/e/a|", OK), (talk.dom0, tx, Op.RM, "/d/a|", OK))
    talk.run((talk.dom0, tx, Op.SET_PERMS, "/d/b|n0|", OK), (talk.dom0, tx, Op.SET_PERMS, "/d|n0|", OK))
    assert commit(talk, tx) == OK
    # /e/a was readable; of /d/a only the parent was; /d lost its reader; /d/b has lost its readable parent.
    assert talk.heard(guest) == ["/e/a|t|", "/d|t|"]


def test_reset_watches_inside(talk):
    """XSA-484."""
    tx, other = start(talk), start(talk)
    talk.run(
        (talk.dom0, 0, Op.WATCH, "/d|t|", OK),
        (talk.dom0, tx, Op.WRITE, "/d/a|2", OK),
        (talk.dom0, tx, Op.RESET_WATCHES, "", OK),
        (talk.dom0, tx, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, other, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, 0, Op.READ, "/d/a|", "1"),
        (talk.dom0, 0, Op.UNWATCH, "/d|t|", "ENOENT"),
    )


def test_a_quota_hit_inside_spoils_it():
    talk = Dialogue(Quotas(nodes=2))
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g|n5|", OK),
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (guest, 1, Op.WRITE, "/g/a|1", OK),
        (guest, 1, Op.WRITE, "/g/b|1", "ENOSPC"),
        (guest, 1, Op.READ, "/g/a|", "1"),
        (guest, 1, Op.DIRECTORY, "/g|", "a|"),
        (guest, 1, Op.TRANSACTION_END, "T|", "ENOMEM"),
        (guest, 1, Op.TRANSACTION_END, "T|", "ENOENT"),
        (guest, 0, Op.DIRECTORY, "/g|", ""),
        (guest, 0, Op.TRANSACTION_START, "", "2|"),
        (guest, 2, Op.WRITE, "/none/b|1", "EACCES"),
        (guest, 2, Op.WRITE, "/g/a|1", OK),
        (guest, 2, Op.TRANSACTION_END, "T|", OK),
    )


def test_a_quota_passed_by_others_does_not_spoil_it():
    talk = Dialogue(Quotas(nodes=1))
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g/a|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g|n5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g/a|n5|", OK),
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (guest, 1, Op.WRITE, "/g/a|1", OK),
        (guest, 1, Op.TRANSACTION_END, "T|", OK),
    )


def test_nodes_are_counted_again_at_the_end():
    """A guest cannot pass its quota by making nodes in several transactions at once."""
    talk = Dialogue(Quotas(nodes=4))
    guest = talk.guest(5)
    talk.run(
        (talk.dom0, 0, Op.MKDIR, "/g/a|", OK),
        (talk.dom0, 0, Op.MKDIR, "/g/b|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g/a|n5|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/g/b|n5|", OK),
        (guest, 0, Op.TRANSACTION_START, "", "1|"),
        (guest, 0, Op.TRANSACTION_START, "", "2|"),
        (guest, 1, Op.WRITE, "/g/a/x/y|1", OK),
        (guest, 2, Op.WRITE, "/g/b/x/y|1", OK),
        (guest, 1, Op.TRANSACTION_END, "T|", OK),
        (guest, 2, Op.TRANSACTION_END, "T|", "ENOSPC"),
        (guest, 0, Op.DIRECTORY, "/g/b|", ""),
        (talk.dom0, 0, Op.CONTROL, "check|", OK),
    )
