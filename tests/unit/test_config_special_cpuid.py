"""The key cpuid: flags, leaves, and the words of xl and libxl."""

import csv
from pathlib import Path

import pytest
from config_special import is_silent, quoted, read
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidMsr, CpuidPolicies
from xenwire.config.xl.cpuid import read_cpuid
from xenwire.config.xl.cpuid_flags import CpuidFlag, cpuid_flags

TABLE = Path(__file__).parents[1] / "data" / "xlcfg" / "cpuid-flags.tsv"


def flags(text):
    return read(read_cpuid, f"cpuid = {quoted(text)}")


def lines(*texts):
    return read(read_cpuid, f"cpuid = [{', '.join(map(quoted, texts))}]")


def leaf(number, subleaf=None, **registers):
    """A leaf whose registers are given by their low bits."""
    return CpuidLeaf(
        leaf=number,
        subleaf=subleaf,
        **{name: bits.rjust(32, "x") for name, bits in registers.items()},
    )


def flag_error(piece, number, text):
    return f'while parsing CPUID flag: "{piece}":\n  error #{number}: {text}\n'


def line_error(line, number, text):
    return f'while parsing CPUID line: "{line}":\n  error #{number}: {text}\n'


NO_VALUE = "illegal CPUID value (must be: [0|1|x|k|s])"


def test_the_table_has_exactly_the_flags_of_the_facts():
    with TABLE.open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    expected = {}
    for name, kind, where, subleaf, register, lowest, width in rows:
        first = int(lowest)
        bits = range(first, first + int(width)) if width.isdigit() else map(int, width.split(","))
        expected[name.encode()] = CpuidFlag(
            int(where, 16),
            None if subleaf == "-" else int(subleaf),
            "msr" if kind == "msr" else register,
            tuple(bits),
        )
    assert cpuid_flags() == expected


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("host", []),
        ("host,fpu=1", [leaf(1, edx="1")]),
        ("host,fpu=1,fpu=0", [leaf(1, edx="0")]),
        ("host,mmx=k,fpu=1,aes=s", [leaf(1, edx="k" + "x" * 22 + "1", ecx="s" + "x" * 25)]),
        (",,host,,fpu=x", [leaf(1, edx="x" * 32)]),
        ("host,avx2=1,fpu=1,smep=0", [leaf(7, 0, ebx="0x1xxxxx"), leaf(1, edx="1")]),
        ("host,stepping=5", [leaf(1, eax="0101")]),
        ("host,stepping=0x0d", [leaf(1, eax="1101")]),
        ("host,stepping=017", [leaf(1, eax="1111")]),
        ("host,stepping= 3", [leaf(1, eax="0011")]),
        ("host,stepping=k", [leaf(1, eax="kkkk")]),
        ("host,proccount=4", [leaf(1, ebx="00000100" + "x" * 16)]),
        ("host,maxleaf=13", [leaf(0, eax=f"{13:032b}")]),
        ("host,model=0x2f", [leaf(1, eax="0010" + "x" * 8 + "1111" + "xxxx")]),
        ("host,model=s", [leaf(1, eax="ssss" + "x" * 8 + "ssss" + "xxxx")]),
        ("host,family=6", [leaf(1, eax="0" * 8 + "x" * 8 + "0110" + "x" * 8)]),
        ("host,family=15", [leaf(1, eax="0" * 8 + "x" * 8 + "1111" + "x" * 8)]),
        ("host,family=16", [leaf(1, eax="00000001" + "x" * 8 + "1111" + "x" * 8)]),
        ("host,family=142", [leaf(1, eax="11111111" + "x" * 8 + "1111" + "x" * 8)]),
        ("host,procpkg=3", [leaf(4, 0, eax="000011" + "x" * 26)]),
        ("host,nc=7,apicidsize=2", [leaf(0x80000008, ecx="0010xxxx00000111")]),
    ],
)
def test_flags(text, leaves):
    outcome = flags(text)
    assert outcome.value == CpuidPolicies(leaves=tuple(leaves))
    assert outcome.words == ""
    assert outcome.errors == []


@pytest.mark.parametrize(
    ("piece", "registers"),
    [
        ("stepping=0x1ff", {"eax": "1111"}),
        ("stepping=5z", {"eax": "0101"}),
        ("stepping=kz", {"eax": "kkkk"}),
        ("stepping=08", {"eax": "0000"}),
        ("fpu=-1", {"edx": "1"}),
        ("family=x", {"eax": "0" * 8 + "x" * 20}),
        ("family=128", {"eax": "11110001" + "x" * 8 + "1111" + "x" * 8}),
        ("family=300", {"eax": "00011101" + "x" * 8 + "1111" + "x" * 8}),
        ("family=-1", {"eax": "11110000" + "x" * 8 + "1111" + "x" * 8}),
    ],
)
def test_what_xl_mangles_silently_is_a_warning_of_ours(piece, registers):
    outcome = flags(f"host,{piece}")
    assert outcome.value == CpuidPolicies(leaves=(leaf(1, **registers),))
    assert (outcome.words, outcome.status, outcome.errors) == ("", None, [])
    assert len(outcome.warnings) == 1


@pytest.mark.parametrize("letter", "01xks")
def test_a_flag_of_an_msr_takes_one_character(letter):
    outcome = flags(f"host,rdcl-no={letter},its-no=1")
    policy = "x1" + "x" * 61 + letter.replace("s", "k")
    assert outcome.value == CpuidPolicies(msrs=(CpuidMsr(index=0x10A, policy=policy),))
    assert is_silent(outcome._replace(value=None))


@pytest.mark.parametrize(
    ("piece", "number", "text"),
    [
        ("fpu", 1, 'missing "=" in key=value'),
        ("host", 1, 'missing "=" in key=value'),
        ("nosuch=1", 2, "unknown CPUID flag name"),
        ("=1", 2, "unknown CPUID flag name"),
        (" fpu=1", 2, "unknown CPUID flag name"),
        ("fpu =1", 2, "unknown CPUID flag name"),
        ("FPU=1", 2, "unknown CPUID flag name"),
        ("fpu=", 3, NO_VALUE),
        ("fpu=z", 3, NO_VALUE),
        ("fpu==1", 3, NO_VALUE),
        ("rdcl-no=11", 3, NO_VALUE),
        ("rdcl-no=", 3, NO_VALUE),
        ("rdcl-no=2", 3, NO_VALUE),
    ],
)
def test_a_bad_flag_is_a_warning_and_the_others_count(piece, number, text):
    outcome = flags(f"host,{piece},vme=1")
    assert outcome.words == flag_error(piece, number, text)
    assert (outcome.status, outcome.errors, len(outcome.warnings)) == (None, [], 1)
    assert leaf(1, edx="1x") in outcome.value.leaves
    assert outcome.warnings[0].column == len('cpuid = "host,') + 1


def test_a_bad_value_still_makes_its_leaf():
    outcome = flags("host,avx2=z,fpu=1,rdcl-no=z")
    assert outcome.value == CpuidPolicies(
        leaves=(leaf(7, 0), leaf(1, edx="1")), msrs=(CpuidMsr(index=0x10A, policy="x" * 64),)
    )


def test_a_near_flag_is_suggested():
    assert flags("host,spec-ctrl2=0,rdseeed=1").warnings[1].hint == "did you mean rdseed?"


@pytest.mark.parametrize("text", ["guest,avx=0", " host", "hos", "fpu=1"])
def test_the_first_word_has_to_be_host(text):
    outcome = flags(text)
    assert outcome.words == f'while parsing CPUID string: "{text}":\n  error: first word must be "host"\n'
    assert (outcome.value, outcome.status, len(outcome.warnings)) == (CpuidPolicies(), None, 1)


@pytest.mark.parametrize("text", ["", ",,"])
def test_an_empty_text_says_nothing(text):
    assert flags(text).value == CpuidPolicies()
    assert is_silent(flags(text)._replace(value=None))


def test_lines():
    eax, ebx, edx = "01xks" + "x" * 27, "1" * 32, "0" * 32
    outcome = lines(
        f"0x80000001:edx={edx}",
        f" 4, 1:eax={eax}, \n ebx={ebx},",
        "010:",
        f"4,1:ebx={edx}",
        f"0:eaxtra=k{'x' * 31}",
    )
    assert outcome.value == CpuidPolicies(
        leaves=(
            leaf(0x80000001, edx=edx),
            leaf(4, 1, eax=eax, ebx=edx),
            leaf(8),
            leaf(0, eax="k" + "x" * 31),
        )
    )
    assert is_silent(outcome._replace(value=None))


BITS = "x" * 32


@pytest.mark.parametrize(
    ("line", "number", "text", "leaves"),
    [
        ("", 1, "illegal leaf number", ()),
        ("z", 1, "illegal leaf number", ()),
        (":eax", 1, "illegal leaf number", ()),
        ("1,:", 2, "illegal subleaf number", ()),
        ("1,z:", 2, "illegal subleaf number", ()),
        ("1", 3, "missing colon", ()),
        ("1 :", 3, "missing colon", ()),
        ("0x:", 3, "missing colon", ()),
        ("1,2", 3, "missing colon", ()),
        ("1:e", 4, "invalid register name (must be e[abcd]x)", (leaf(1),)),
        ("1:eax", 4, "invalid register name (must be e[abcd]x)", (leaf(1),)),
        (f"1:eex={BITS}", 4, "invalid register name (must be e[abcd]x)", (leaf(1),)),
        (f"1: eax={BITS}", 4, "invalid register name (must be e[abcd]x)", (leaf(1),)),
        (f"1:eax={BITS},,", 4, "invalid register name (must be e[abcd]x)", (leaf(1, eax=BITS),)),
        ("1:eax=", 5, "policy string must be exactly 32 characters long", (leaf(1),)),
        (f"1:eax={BITS}x", 5, "policy string must be exactly 32 characters long", (leaf(1),)),
        (f"1:eax={BITS},ebx=1", 5, "policy string must be exactly 32 characters long", (leaf(1, eax=BITS),)),
        (f"1,2:eax={BITS[1:]},", 5, "policy string must be exactly 32 characters long", (leaf(1, 2),)),
    ],
)
def test_a_bad_line_is_a_warning_and_the_others_count(line, number, text, leaves):
    outcome = lines(line, "2:")
    assert outcome.words == line_error(line, number, text)
    assert outcome.value == CpuidPolicies(leaves=(*leaves, leaf(2)))
    assert (outcome.status, outcome.errors, len(outcome.warnings)) == (None, [], 1)


def test_numbers_that_libxl_uses_itself():
    outcome = lines("0xffffffff:", f"5,0xffffffff:eax={BITS}", "-2:", "0x100000001:")
    assert outcome.value == CpuidPolicies(leaves=(leaf(5, eax=BITS), leaf(2**32 - 2), leaf(1)))
    assert (outcome.words, outcome.errors) == ("", [])


def test_bits_that_are_no_ascii_are_left_out():
    outcome = lines(f"1:eax=é{'x' * 30}")
    assert outcome.value == CpuidPolicies(leaves=(leaf(1),))
    assert (outcome.words, len(outcome.warnings)) == ("", 1)


def test_a_list_ends_at_an_inner_list():
    outcome = read(read_cpuid, 'cpuid = ["1:", ["2:"], "3:"]')
    assert outcome.value == CpuidPolicies(leaves=(leaf(1),))
    assert (outcome.words, len(outcome.warnings)) == ("", 1)


def test_text_may_be_appended():
    outcome = read(read_cpuid, 'cpuid="host"\ncpuid+=",fpu=1"')
    assert outcome.value == CpuidPolicies(leaves=(leaf(1, edx="1"),))


def test_many_bad_flags_take_little_time():
    outcome = flags("host," + "nosuchflag=1," * 20_000)
    assert outcome.words.count("error #2") == 20_000


NAMES = sorted(cpuid_flags().keys() - {b"family"})
VALUES = st.integers(0, 2**32 - 1) | st.sampled_from("xks")


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12))
def test_bits_against_an_array(pairs):
    """A model: for each register an array of characters, the bit's number as the index."""
    arrays = {}
    texts = ["host"]
    for name, value in pairs:
        flag = cpuid_flags()[name]
        if flag.register == "msr" and isinstance(value, int):
            value %= 2
        texts.append(f"{name.decode()}={value}")
        array = arrays.setdefault(flag[:3], ["x"] * (64 if flag.register == "msr" else 32))
        for index, bit in enumerate(flag.bits):
            if isinstance(value, int):
                array[bit] = str(value >> index & 1)
            else:
                array[bit] = "k" if flag.register == "msr" and value == "s" else value
    policies = flags(",".join(texts)).value
    registers = {
        (leaf.leaf, leaf.subleaf, name): value
        for leaf in policies.leaves
        for name, value in leaf.given()
        if name in ("eax", "ebx", "ecx", "edx")
    } | {(msr.index, None, "msr"): msr.policy for msr in policies.msrs}
    assert registers == {key: "".join(reversed(array)) for key, array in arrays.items()}
    order = list(dict.fromkeys(key[:2] for key in arrays if key[2] != "msr"))
    assert [(leaf.leaf, leaf.subleaf) for leaf in policies.leaves] == order


@given(st.lists(st.text("host,=fpu019xz-: \n", max_size=30), max_size=4))
def test_any_text_is_read(texts):
    assert flags(",".join(texts)).errors == []
    assert lines(*texts).errors == []
