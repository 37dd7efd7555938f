"""What the tests of libxl's types share: the golden data, all structs by name, random values of each."""

import uuid
from pathlib import Path

from hypothesis import strategies as st

from xenwire.config.libxl import kinds, reports, types
from xenwire.config.libxl.cpuid import Bits, CpuidPolicies, CpuidPolicyList
from xenwire.config.libxl.struct import Struct

STRUCTS = {
    cls.NAME: cls
    for module in (types, reports)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Struct) and cls is not Struct
}


def config_data(name):
    return Path(__file__).parents[1] / "data/xlcfg" / name


def golden_configs():
    """Give the paths of the JSON files with one configuration each."""
    files = [*config_data("").glob("*.json"), *config_data("live").glob("*.json")]
    return sorted(path for path in files if not path.name.endswith(".list.json"))


BYTES = st.binary(max_size=6).filter(lambda data: b"\0" not in data)
TEXT = BYTES.map(lambda data: data.decode("utf-8", "surrogateescape")) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6
)
MACS = st.binary(min_size=6, max_size=6).map(lambda data: data.hex(":"))


def values(kind):
    """Give a strategy for the values of a kind."""
    match kind:
        case kinds.Kib():
            return st.none() | st.integers(0, kind.high)
        case kinds.Integer():
            return st.integers(kind.low, kind.high)
        case kinds.Bool():
            return st.booleans()
        case kinds.Defbool():
            return st.none() | st.booleans()
        case kinds.String():
            return st.none() | TEXT
        case kinds.EnumOf():
            return st.sampled_from(list(kind.type))
        case kinds.Uuid():
            return st.none() | st.builds(uuid.UUID, int=st.integers(0, 2**128 - 1))
        case kinds.Mac():
            return st.none() | MACS
        case kinds.Bitmap():
            return st.frozensets(st.integers(0, 100) | st.integers(0, kinds.MAX_BIT), max_size=4)
        case kinds.StringList():
            return st.lists(TEXT, max_size=3)
        case kinds.KeyValueList():
            return st.dictionaries(TEXT, st.none() | TEXT, max_size=3)
        case kinds.MsVmGenid():
            return st.none() | st.binary(min_size=16, max_size=16)
        case kinds.Hwcap():
            return st.tuples(*[st.integers(0, 2**32 - 1)] * 4)
        case Bits():
            return st.text("01xks", min_size=kind.count, max_size=kind.count)
        case CpuidPolicyList():
            return structs(CpuidPolicies)
        case kinds.ArrayOf():
            return st.lists(values(kind.item), max_size=2)
        case kinds.StructOf():
            return structs(kind.type)
        case kinds.UnionOf():
            return st.sampled_from(kind.types).flatmap(structs)
    raise AssertionError(kind)


@st.composite
def structs(draw, struct):
    """Draw a value of a struct; some of its fields differ from their defaults."""
    names = sorted(struct.FIELDS)
    chosen = draw(st.lists(st.sampled_from(names), max_size=5, unique=True)) if names else []
    return struct(**{name: draw(values(struct.FIELDS[name].kind)) for name in chosen})
