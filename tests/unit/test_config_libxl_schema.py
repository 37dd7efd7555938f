"""The JSON Schema of libxl's JSON, tried with a small checker of the keywords that it uses."""

import json
import re

import pytest
from config_libxl_values import STRUCTS, config_data, golden_configs, structs
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.libxl.json_writer import to_data
from xenwire.config.libxl.schema import json_schema
from xenwire.config.libxl.types import DeviceChannel, DeviceDisk, DomainBuildInfo, DomainConfig
from xenwire.config.libxl.version import NEWEST, V4_17, XenVersion

ANNOTATIONS = {"$schema", "$defs", "title", "description", "deprecated"}

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def valid(value, schema, definitions):
    """Tell whether a value satisfies a schema; fail on a keyword that is not known here."""

    def holds(inner, part=value):
        return valid(part, inner, definitions)

    def keyword(name, wanted):
        match name:
            case "$ref":
                return holds(definitions[wanted.removeprefix("#/$defs/")])
            case "type":
                return any(TYPES[kind](value) for kind in ([wanted] if isinstance(wanted, str) else wanted))
            case "enum":
                return value in wanted
            case "pattern":
                return re.search(wanted, value) is not None
            case "minimum":
                return value >= wanted
            case "maximum":
                return value <= wanted
            case "items":
                return all(holds(wanted, item) for item in value)
            case "minItems":
                return len(value) >= wanted
            case "maxItems":
                return len(value) <= wanted
            case "properties":
                return all(holds(wanted[key], part) for key, part in value.items() if key in wanted)
            case "additionalProperties":
                others = [part for key, part in value.items() if key not in schema.get("properties", {})]
                return all(wanted is not False and holds(wanted, part) for part in others)
            case "required":
                return all(key in value for key in wanted)
            case "oneOf":
                return sum(holds(inner) for inner in wanted) == 1
            case "anyOf":
                return any(holds(inner) for inner in wanted)
            case "not":
                return not holds(wanted)
        raise AssertionError(name)

    return all(keyword(name, wanted) for name, wanted in schema.items() if name not in ANNOTATIONS)


def accepts(schema, value):
    return valid(value, schema, schema["$defs"])


SCHEMA = json_schema(DomainConfig)


@pytest.mark.parametrize("path", golden_configs(), ids=lambda path: path.name)
def test_configurations_satisfy_it(path):
    assert accepts(SCHEMA, json.loads(path.read_bytes()))


def test_live_domains_satisfy_it():
    for path in config_data("live").glob("*.list.json"):
        assert all(accepts(SCHEMA, item["config"]) for item in json.loads(path.read_bytes()))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), version=st.sampled_from([XenVersion(4, 17, 0), V4_17, NEWEST]))
def test_random_values_satisfy_it(data, version):
    struct = STRUCTS[data.draw(st.sampled_from(sorted(STRUCTS)))]
    value = to_data(data.draw(structs(struct)), version)
    assert accepts(json_schema(struct, version), json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("struct", "value"),
    [
        (DeviceDisk, []),
        (DeviceDisk, {"vdef": "a"}),
        (DeviceDisk, {"vdev": 5}),
        (DeviceDisk, {"format": "vmdk"}),
        (DeviceDisk, {"readwrite": 2**31}),
        (DeviceDisk, {"readwrite": True}),
        (DeviceDisk, {"direct_io_safe": 1}),
        (DeviceDisk, {"trusted": True}),
        (DeviceDisk, {"grant_usage": "True"}),
        (DeviceChannel, {"connection": "pty"}),
        (DeviceChannel, {"connection.pty": {}, "connection.none": {}}),
        (DeviceChannel, {"connection.pty": {"path": "/a"}}),
        (DomainBuildInfo, {"cpuid": []}),
        (DomainBuildInfo, {"cpuid": {"cpuid": []}}),
        (DomainBuildInfo, {"cpuid": {"cpuid": [{}], "msr": []}}),
        (DomainBuildInfo, {"type.hvm": {"ms_vm_genid": [0] * 15}}),
        (DomainBuildInfo, {"tee": "ffa"}),
        (DomainConfig, {"disks": [5]}),
        (DomainConfig, {"c_info": {"uuid": "5aff0001"}}),
        (DomainConfig, {"c_info": {"xsdata": {"a": 1}}}),
    ],
)
def test_mistakes_do_not(struct, value):
    assert not accepts(json_schema(struct), value)


def test_it_depends_on_the_version():
    assert accepts(json_schema(DeviceDisk, NEWEST), {"grant_usage": "True"})
    assert accepts(json_schema(DomainBuildInfo, NEWEST), {"tee": "ffa", "llc_colors": [1]})
    assert accepts(json_schema(DomainBuildInfo, XenVersion(4, 17, 1)), {"cpuid": [{"leaf": 1}]})
    assert json_schema(DeviceDisk)["title"] == "libxl_device_disk of Xen 4.17.5"


def test_it_tells_what_is_deprecated():
    definition = SCHEMA["$defs"]["DomainBuildInfoHvm"]
    assert definition["properties"]["apic"]["deprecated"]
    assert "deprecated" not in definition["properties"]["acpi"]
    assert (
        SCHEMA["$defs"]["DeviceNic"]["description"]
        == "A network card; the colo_ fields belong to COLO replication."
    )
