"""The key vnuma."""

import pytest
from config_special import is_silent, quoted, read
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.libxl.types import VnodeInfo
from xenwire.config.xl.vnuma import MAX_NODES, Vnuma, read_vnuma


def vnuma(*nodes, maxmem=None, maxvcpus=None, **facts):
    text = ", ".join(f"[{', '.join(map(quoted, node))}]" for node in nodes)
    return read(read_vnuma, f"vnuma = [{text}]", maxmem=maxmem, maxvcpus=maxvcpus, **facts)


def test_two_nodes():
    outcome = vnuma(
        ["pnode=0", "size=512", "vcpus=0-1", "vdistances=10,20"],
        ["pnode=1", " size = 256 ", "vcpus=2,3", "vdistances=20,10"],
        maxmem=768,
        maxvcpus=4,
        nodes=2,
    )
    assert outcome.value == Vnuma(
        (
            VnodeInfo(memkb=512 * 1024, distances=(10, 20), pnode=0, vcpus=frozenset({0, 1})),
            VnodeInfo(memkb=256 * 1024, distances=(20, 10), pnode=1, vcpus=frozenset({2, 3})),
        ),
        memory=768,
        vcpus=4,
        placed=True,
    )
    assert is_silent(outcome._replace(value=None))


def test_everything_has_a_default():
    outcome = vnuma([], ["vdistances=7"])
    assert outcome.value == Vnuma(
        (VnodeInfo(distances=(0, 0)), VnodeInfo(distances=(7, 0))), memory=0, vcpus=0, placed=False
    )
    assert is_silent(outcome._replace(value=None))


@pytest.mark.parametrize("text", ["", "vnuma = []", "vnuma = 'x'"])
def test_no_nodes(text):
    outcome = read(read_vnuma, text, maxmem=1, maxvcpus=1)
    assert (outcome.value, outcome.words, outcome.errors) == (None, "", [])


@pytest.mark.parametrize(
    ("options", "info"),
    [
        (["vcpus=0,,1"], VnodeInfo(vcpus=frozenset({0, 1}))),
        (["vcpus=0", "vcpus=2-3"], VnodeInfo(vcpus=frozenset({0, 2, 3}))),
        (["==pnode==0==zz"], VnodeInfo(pnode=0)),
        (["size=1", "size=3"], VnodeInfo(memkb=3072)),
        (["size=-5"], VnodeInfo(memkb=2**64 - 5 * 1024)),
        (["vdistances=4294967297"], VnodeInfo(distances=(1,))),
        (["vdistances=-2"], VnodeInfo(distances=(2**32 - 2,))),
    ],
)
def test_options(options, info):
    outcome = vnuma(options)
    assert outcome.value.nodes == (info.replace(distances=info.distances or (0,)),)
    assert (outcome.words, outcome.status, outcome.errors) == ("", None, [])


def test_all_sizes_count():
    assert vnuma(["size=1", "size=3"], ["size=4"]).value.memory == 8
    assert vnuma(["size=-5"], ["size=5"]).value.memory == 0


@pytest.mark.parametrize(
    ("option", "count", "vcpus"),
    [
        ("vcpus=abc", 1, {0}),
        ("vcpus=1x", 1, {1}),
        ("vcpus=3-1", 0, set()),
        ("vcpus=1-", 0, set()),
        ("vcpus=0,0", 2, {0}),
        ("vcpus=7-8", 2, {7}),
        ("vcpus=4294967296", 1, {0}),
        ("foo=bar", 0, set()),
    ],
)
def test_what_xl_reads_in_its_own_way_is_a_warning(option, count, vcpus):
    outcome = vnuma([option])
    assert outcome.value.vcpus == count
    assert outcome.value.nodes[0].vcpus == vcpus
    assert (outcome.words, outcome.errors, len(outcome.warnings)) == ("", [], 1)


def test_vcpus_beyond_maxvcpus_are_counted_only():
    outcome = vnuma(["vcpus=0-8,20"], maxvcpus=10)
    assert outcome.value.vcpus == 10
    assert outcome.value.nodes[0].vcpus == frozenset(range(9))


def test_lists_in_a_node_are_ignored():
    outcome = read(read_vnuma, "vnuma = [[['pnode'], 'size=1']]", maxmem=None, maxvcpus=None)
    assert outcome.value.memory == 1
    assert (outcome.words, len(outcome.warnings)) == ("", 1)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("pnode", 'xl: failed to split "pnode" into pair'),
        ("pnode=", 'xl: failed to split "pnode=" into pair'),
        ("=pnode", 'xl: failed to split "=pnode" into pair'),
        ("", 'xl: failed to split "" into pair'),
        ("pnode=1", "xl: invalid pnode number: 1"),
        ("pnode=-2", "xl: invalid pnode number: 18446744073709551614"),
        ("pnode=x", 'xl: failed to convert "x" to number'),
        ("pnode= ", 'xl: failed to convert "" to number'),
        ("size=abc", 'xl: failed to convert "abc" to number'),
        ("size=-1", 'xl: failed to convert "-1" to number'),
        ("size=18446744073709551615", 'xl: failed to convert "18446744073709551615" to number'),
        ("vdistances=1,x", 'xl: failed to convert "x" to number'),
    ],
)
def test_bad_options(option, words):
    outcome = vnuma(["size=1"], [option, "vcpus=1"])
    assert (outcome.value, outcome.words, outcome.status) == (None, f"{words}\n", 1)
    assert len(outcome.errors) == 1


@pytest.mark.parametrize("option", ["vcpus= ", "vcpus=,", "vdistances=,,"])
def test_no_number_at_all_makes_xl_crash(option):
    outcome = vnuma([option])
    assert (outcome.value, outcome.words, outcome.status) == (None, "", -11)
    assert len(outcome.errors) == 1


@pytest.mark.parametrize("option", ["vcpus=18446744073709551615", "vcpus=0-18446744073709551614"])
def test_ranges_that_xl_would_never_have_counted(option):
    outcome = vnuma([option])
    assert (outcome.value, outcome.words, outcome.status) == (None, "", -9)


def test_a_node_is_a_list():
    outcome = read(read_vnuma, "vnuma = [\n[],\n'pnode=0', 5]", maxmem=None, maxvcpus=None)
    assert outcome.words == (
        "f.cfg:3:0: warning: value is not a list\nxl: cannot get vnode config option list\n"
    )
    assert (outcome.value, outcome.status, len(outcome.errors)) == (None, 1, 2)


@pytest.mark.parametrize(("nodes", "room"), [(1, 6), (6, 6), (7, 10), (10, 10), (11, 14)])
def test_too_many_distances(nodes, room):
    rest = [[]] * (nodes - 1)
    few = vnuma([f"vdistances={','.join(['9'] * room)}"], *rest)
    assert few.value.nodes[0].distances == (9,) * nodes
    assert (few.words, few.errors, len(few.warnings)) == ("", [], room > nodes)
    many = vnuma([f"vdistances={','.join(['9'] * (room + 1))}"], *rest)
    assert (many.value, many.words, many.status) == (None, "", -11)


@pytest.mark.parametrize(
    ("maxmem", "maxvcpus", "words"),
    [
        (None, 3, "xl: vnuma vcpus and maxvcpus= mismatch\n"),
        (6, 3, "xl: vnuma vcpus and maxvcpus= mismatch\n"),
        (6, None, "xl: maxmem and vnuma memory size mismatch\n"),
        (6, 2, "xl: maxmem and vnuma memory size mismatch\n"),
        (0, 2, "xl: maxmem and vnuma memory size mismatch\n"),
    ],
)
def test_mismatches(maxmem, maxvcpus, words):
    outcome = vnuma(["size=5", "vcpus=0-1"], maxmem=maxmem, maxvcpus=maxvcpus)
    assert (outcome.value, outcome.words, outcome.status) == (None, words, 1)
    assert len(outcome.errors) == 1


def test_more_vcpus_than_processors():
    outcome = vnuma(["vcpus=0-2"], cpus=2)
    assert outcome.words == (
        "xl: vnuma specifies more vcpus than pcpus, use maxvcpus= to override this check.\n"
    )
    assert outcome.status == 1
    assert vnuma(["vcpus=0-2"], cpus=2, maxvcpus=3).errors == []


def test_a_negative_maxvcpus():
    outcome = vnuma([], maxvcpus=-1)
    assert outcome.words == (
        "libxl: error: libxl_utils.c:809:libxl_cpu_bitmap_alloc: invalid number of cpus provided\n"
        "libxl_node_bitmap_alloc failed.\n"
    )
    assert outcome.status == 1


def test_limits():
    assert vnuma(*[[]] * MAX_NODES).errors == []
    assert len(vnuma(*[[]] * (MAX_NODES + 1)).errors) == 1
    assert len(vnuma(["vcpus=0-2000000000"], maxvcpus=2_000_000_001).errors) == 1


def test_many_repetitions_take_little_time():
    outcome = vnuma([f"vcpus={'0-65535,' * 20_000}"], maxvcpus=65536)
    assert outcome.words == "xl: vnuma vcpus and maxvcpus= mismatch\n"


SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=4)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2**20), SPANS), min_size=1, max_size=4))
def test_against_sets(nodes):
    """A model: a set of vCPUs for each node, and their sum with repetitions."""
    options, sets, count = [], [], 0
    for size, spans in nodes:
        numbers = [number for first, more in spans for number in range(first, first + more + 1)]
        count += len(numbers)
        sets.append(numbers)
        text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in spans)
        options.append([f"size={size}", f"vcpus={text}"])
    outcome = vnuma(*options, maxvcpus=count)
    width = (count + 7) // 8 * 8
    assert [node.vcpus for node in outcome.value.nodes] == [
        {number for number in numbers if number < width} for numbers in sets
    ]
    assert [node.memkb for node in outcome.value.nodes] == [size * 1024 for size, _ in nodes]
    assert outcome.value.memory == sum(size for size, _ in nodes)
    assert (outcome.value.vcpus, outcome.value.placed) == (count, False)
