import pytest

from xenwire.errors import UsageError
from xenwire.xenstore import Access, Permission, Permissions


@pytest.mark.parametrize(
    ("text", "permission"),
    [
        ("n0", Permission(0, Access.NONE)),
        ("r5", Permission(5, Access.READ)),
        ("w1", Permission(1, Access.WRITE)),
        ("b32757", Permission(32757, Access.BOTH)),
    ],
)
def test_one_entry_there_and_back(text, permission):
    assert Permission.parse(text) == permission
    assert str(permission) == text


@pytest.mark.parametrize(
    "text", ["", "n", "0", "x0", "N0", "n-1", "n 1", "n1 ", "n1\n", "n32768", "n٣", "n0x1"]
)
def test_what_is_no_entry(text):
    with pytest.raises(UsageError):
        Permission.parse(text)


def test_a_list():
    perms = Permissions.parse("n3", "r5")
    assert perms.owner == 3
    assert str(perms) == "n3,r5"
    assert perms == (Permission(3, Access.NONE), Permission(5, Access.READ))


def test_a_list_has_an_owner():
    with pytest.raises(UsageError):
        Permissions([])
