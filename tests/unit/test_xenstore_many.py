"""Questions to the store that need not wait for each other."""

import pytest

from xenwire.errors import UsageError, XenwireError
from xenwire.xenstore.node import Node


async def test_many_values_at_once(store):
    await store.write("/a", "1")
    await store.write("/b/c", "2")
    assert await store.get_all(["/a", "/none", "/b", "/b/c"]) == [b"1", None, b"", b"2"]
    assert await store.get_all([]) == []


async def test_many_in_a_transaction(store):
    async with store.transaction() as t:
        await t.write_all([Node("/x", "1"), Node("/x/y", "2")])
        assert await t.get_all(["/x", "/x/y"]) == [b"1", b"2"]
        assert await store.get_all(["/x", "/x/y"]) == [None, None]
    assert await store.get_all(["/x", "/x/y"]) == [b"1", b"2"]
    with pytest.raises(UsageError, match="the transaction is not open"):
        await t.get_all(["/x"])


async def test_what_is_there_is_removed_and_what_is_not_is_no_matter(store):
    await store.write_all([Node("/a/b", "1"), Node("/c", "2"), Node("/d", "3")])
    await store.discard("/a", "/none", "/no/parent", "/c")
    assert await store.get_all(["/a", "/c", "/d"]) == [None, None, b"3"]
    async with store.transaction() as t:
        await t.discard("/d", "/d")
        assert await store.exists("/d")
    assert not await store.exists("/d")


async def test_one_that_fails_fails_all_and_the_next_are_answered(store):
    await store.write("/a", "1")
    with pytest.raises(UsageError):
        await store.get_all(["/a", "no\0path"])
    with pytest.raises(XenwireError):
        await store.write_all([Node("/before", "1"), Node("/large", "x" * 5000), Node("/after", "1")])
    assert await store.get_all(["/a", "/large"]) == [b"1", None]
