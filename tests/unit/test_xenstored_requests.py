"""What requests must look like, and in which order they are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_dialogue import OK, Dialogue

from xenwire.xenstore.wire import ERROR_NAMES, Frame, Op
from xenwire.xenstored.effects import Event, Reply

ONE_STRING = (Op.DIRECTORY, Op.READ, Op.GET_PERMS, Op.GET_DOMAIN_PATH, Op.MKDIR, Op.RM, Op.RELEASE,
              Op.IS_DOMAIN_INTRODUCED, Op.RESUME)  # fmt: skip
PRIVILEGED = (Op.CONTROL, Op.INTRODUCE, Op.RELEASE, Op.IS_DOMAIN_INTRODUCED, Op.RESUME, Op.SET_TARGET,
              Op.SET_FEATURE, Op.GET_QUOTA, Op.SET_QUOTA)  # fmt: skip


@pytest.fixture
def talk():
    return Dialogue()


@pytest.mark.parametrize("type_", [15, 16, 20, 27, 65535, 2**32 - 1])
def test_unknown_types_are_not_served(talk, type_):
    for tx in (0, 9):
        (reply,) = talk.engine.handle(talk.dom0, Frame(type_, 5, tx, b"/\0"))
        assert reply == Reply(talk.dom0, Frame(Op.ERROR, 5, tx, b"ENOSYS\0"))


@pytest.mark.parametrize("op", PRIVILEGED)
def test_privilege_is_asked_before_transaction_and_payload(talk, op):
    guest = talk.guest(3)
    assert talk.ask(guest, op, "", tx=9) == "EACCES"
    assert talk.ask(talk.dom0, op, "", tx=9) == "ENOENT"


def test_transaction_is_asked_before_payload_but_not_by_watches(talk):
    talk.run(
        (talk.dom0, 9, Op.READ, "", "ENOENT"),
        (talk.dom0, 9, Op.TRANSACTION_START, "", "ENOENT"),
        (talk.dom0, 9, Op.TRANSACTION_END, "T|", "ENOENT"),
        (talk.dom0, 9, Op.RESET_WATCHES, "", "ENOENT"),
        (talk.dom0, 9, Op.WATCH, "/a|t|", OK),
        (talk.dom0, 9, Op.UNWATCH, "/a|t|", OK),
    )


@pytest.mark.parametrize("op", ONE_STRING)
@pytest.mark.parametrize("payload", ["", "1", "1|1", "1|1|", "||"])
def test_one_string_means_one_nul_at_the_end(talk, op, payload):
    assert talk.ask(talk.dom0, op, payload) == "EINVAL"


@pytest.mark.parametrize(
    ("op", "payload", "answer"),
    [
        (Op.WRITE, "", "EINVAL"),
        (Op.WRITE, "/a", "EINVAL"),
        (Op.WRITE, "/a|", OK),
        (Op.WATCH, "/a|", "EINVAL"),
        (Op.WATCH, "/a|t", "EINVAL"),
        (Op.WATCH, "/a|t|garbage", OK),
        (Op.WATCH, "/a||", OK),
        (Op.WATCH, "/a|t|0|", OK),
        (Op.WATCH, "/a|t|0|garbage", OK),
        (Op.WATCH, "/a|t|-1|", "EINVAL"),
        (Op.WATCH, "/a|t|x|", "EINVAL"),
        (Op.WATCH, "/a|t|0|0|", "EINVAL"),
        (Op.UNWATCH, "/a|", "EINVAL"),
        (Op.UNWATCH, "/a|t|0|", "EINVAL"),
        (Op.UNWATCH, "/a|t|garbage", "ENOENT"),
        (Op.SET_PERMS, "/tool|", "EINVAL"),
        (Op.SET_PERMS, "/tool|n0", "EINVAL"),
        (Op.SET_PERMS, "/tool|n0|garbage", OK),
        (Op.SET_PERMS, "/tool|n0||", "EINVAL"),
        (Op.SET_PERMS, "/tool|x0|", "EINVAL"),
        (Op.SET_PERMS, "/tool|r|", "EINVAL"),
        (Op.SET_PERMS, "/tool|r1x|", "EINVAL"),
        (Op.SET_PERMS, "/tool|n0|N1|", "EINVAL"),
        (Op.SET_PERMS, "/tool|n0|r010|", "EINVAL"),
        (Op.SET_PERMS, "/tool|n0|r10|", OK),
        (Op.SET_PERMS, "/tool|n0|r40000|", "EINVAL"),
        (Op.DIRECTORY_PART, "/|", "EINVAL"),
        (Op.DIRECTORY_PART, "/|0", "EINVAL"),
        (Op.DIRECTORY_PART, "/|x|", "EINVAL"),
        (Op.DIRECTORY_PART, "/|-1|", "EINVAL"),
        (Op.DIRECTORY_PART, "/|0|0|", "EINVAL"),
        (Op.TRANSACTION_START, "", "1|"),
        (Op.TRANSACTION_START, "anything", "1|"),
        (Op.TRANSACTION_END, "T|", "ENOENT"),
        (Op.TRANSACTION_END, "T", "EINVAL"),
        (Op.RESET_WATCHES, "anything", OK),
        (Op.CONTROL, "", "EINVAL"),
        (Op.CONTROL, "help", "EINVAL"),
        (Op.INTRODUCE, "1|2|", "EINVAL"),
        (Op.INTRODUCE, "1|2|3|more", OK),
        (Op.INTRODUCE, "1|2|0|", "EINVAL"),
        (Op.INTRODUCE, "1|2|-1|", "EINVAL"),
        (Op.INTRODUCE, "32752|2|3|", "EINVAL"),
        (Op.SET_TARGET, "1|", "EINVAL"),
        (Op.GET_DOMAIN_PATH, "7|", "/local/domain/7|"),
        (Op.GET_DOMAIN_PATH, "|", "/local/domain/0|"),
        (Op.GET_DOMAIN_PATH, "65535|", "/local/domain/65535|"),
        (Op.GET_DOMAIN_PATH, "65536|", "EINVAL"),
        (Op.GET_DOMAIN_PATH, "7x|", "EINVAL"),
        (Op.GET_DOMAIN_PATH, "+7|", "EINVAL"),
        (Op.GET_FEATURE, "1|2|", "EINVAL"),
        (Op.SET_FEATURE, "1|", "EINVAL"),
        (Op.GET_QUOTA, "1|nodes|2|", "EINVAL"),
        (Op.SET_QUOTA, "nodes|", "EINVAL"),
    ],
)  # fmt: skip
def test_arity(talk, op, payload, answer):
    assert talk.ask(talk.dom0, op, payload) == answer


PATH_OPS = (Op.DIRECTORY, Op.READ, Op.GET_PERMS, Op.MKDIR, Op.RM, Op.WRITE)


@pytest.mark.parametrize("op", PATH_OPS)
@pytest.mark.parametrize(
    "path", ["", "//a", "/a/", "/a//b", "a/", "/a.b", "/a b", "/a\n", "/\xe9", "/local/domain/", "//", "@x"]
)
def test_illegal_paths(talk, op, path):
    # GET_PERMS alone of these knows special nodes, and there is none of this name.
    expected = "ENOENT" if (op, path) == (Op.GET_PERMS, "@x") else "EINVAL"
    assert talk.ask(talk.dom0, op, f"{path}|") == expected


def test_every_legal_byte(talk):
    path = "/azAZ09-_@"
    talk.run(
        (talk.dom0, 0, Op.WRITE, f"{path}|1", OK),
        (talk.dom0, 0, Op.READ, f"{path}|", "1"),
        (talk.dom0, 0, Op.WRITE, "/@introduceDomain|2", OK),
        (talk.dom0, 0, Op.GET_PERMS, "@introduceDomain|", "n0|"),
        (talk.dom0, 0, Op.DIRECTORY, "/|", "tool|azAZ09-_@|@introduceDomain|"),
    )


def test_relative_paths_start_at_home(talk):
    guest = talk.guest(3)
    talk.run(
        (talk.dom0, 0, Op.WRITE, "a|1", OK),
        (talk.dom0, 0, Op.READ, "/local/domain/0/a|", "1"),
        (talk.dom0, 0, Op.WRITE, "/local/domain/3|", OK),
        (talk.dom0, 0, Op.SET_PERMS, "/local/domain/3|n3|", OK),
        (guest, 0, Op.WRITE, "a/b|2", OK),
        (guest, 0, Op.READ, "/local/domain/3/a/b|", "2"),
        (talk.dom0, 0, Op.READ, "/local/domain/3/a/b|", "2"),
    )


@pytest.mark.parametrize(("length", "accepted"), [(3071, True), (3072, True), (3073, False)])
def test_path_limit_of_the_privileged_counts_all(talk, length, accepted):
    for path in ("/" + "a" * (length - 1), "a" * (length - len("/local/domain/0/"))):
        assert talk.ask(talk.dom0, Op.MKDIR, f"{path}|") == (OK if accepted else "EINVAL")


@pytest.mark.parametrize(("length", "accepted"), [(2047, True), (2048, True), (2049, False)])
def test_path_limit_of_guests_leaves_out_the_home(talk, length, accepted):
    guest = talk.guest(3)
    talk.ask(talk.dom0, Op.SET_PERMS, "/|b0|")
    home = "/local/domain/65000/"
    for path in ("/" + "a" * (length - 1), "a" * length, home + "a" * length):
        assert talk.ask(guest, Op.READ, f"{path}|") == ("ENOENT" if accepted else "EINVAL")
    longer = "/local/domain/650000/"
    assert talk.ask(guest, Op.READ, f"{longer}{'a' * (length - len(longer))}|") == (
        "ENOENT" if accepted else "EINVAL"
    )


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(list(range(28))),
            st.sampled_from([0, 0, 0, 1, 2**32 - 1]),
            st.binary(max_size=12)
            | st.lists(st.sampled_from(["/", "/a", "a/b", "@releaseDomain", "0", "3", "n3", "T", "F", ""]))
            .map(lambda strings: "".join(f"{string}\0" for string in strings).encode()),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_request_gets_one_reply_of_legal_size(requests):
    """Nothing that is sent makes the engine fail, and whatever it says fits the wire."""
    talk = Dialogue()
    connections = (talk.dom0, talk.guest(3))
    for privileged, type_, tx, payload in requests:
        connection = connections[not privileged]
        effects = talk.engine.handle(connection, Frame(type_, 1, tx, payload))
        assert sum(isinstance(effect, Reply) for effect in effects) == 1
        for effect in effects:
            if isinstance(effect, Reply | Event):
                assert len(effect.frame.payload) <= 4096
            if isinstance(effect, Reply):
                assert effect.frame[1:3] == (1, tx)
                assert effect.frame.type == type_ or effect.frame.payload[:-1].decode() in ERROR_NAMES
        assert talk.ask(talk.dom0, Op.CONTROL, "check|") == OK
