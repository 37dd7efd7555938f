"""Metrics, as the parser of Prometheus' own Python client reads them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from xenwire import __version__
from xenwire.channels.statistics import ChannelStatistics
from xenwire.daemon.metrics import metrics
from xenwire.types import ChannelKind, DevId, DomId

COUNTS = {
    "from_guest": "xenwire_channel_from_guest_bytes_total",
    "delivered": "xenwire_channel_delivered_bytes_total",
    "dropped": "xenwire_channel_dropped_bytes_total",
    "waiting": "xenwire_channel_waiting_bytes",
    "to_guest": "xenwire_channel_to_guest_bytes_total",
    "clients": "xenwire_channel_clients",
    "sent_away": "xenwire_channel_clients_sent_away_total",
    "generation": "xenwire_channel_generations_total",
}


def samples(channels):
    """Give all samples by name and labels, as Prometheus would have them."""
    families = list(text_string_to_metric_families(metrics(channels)))
    assert all(family.documentation and family.type in ("counter", "gauge") for family in families)
    found = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
            assert (family.type == "counter") == sample.name.endswith("_total")
    return found


def labels(c):
    values = {"domid": str(c.domid), "devid": str(c.devid), "name": c.name or "", "kind": c.kind or ""}
    return frozenset(values.items())


NUMBERS = st.none() | st.integers(0, 1 << 53)
# More than a name can have: what stands in a label is for this module to see to.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)
CHANNELS = st.lists(
    st.builds(
        ChannelStatistics,
        domid=st.integers(0, 0x7FEF).map(DomId),
        devid=st.integers(1, 30).map(DevId),
        # More than a name can have: what stands in a label is for this module to see to.
        name=st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20),
        kind=st.none() | st.sampled_from(ChannelKind),
        joined=st.booleans(),
        error=st.none() | st.text(min_size=1),
        **dict.fromkeys(COUNTS, NUMBERS),
    ),
    unique_by=lambda c: (c.domid, c.devid),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(CHANNELS)
def test_prometheus_reads_what_is_known(channels):
    found = samples(channels)
    for c in channels:
        for key, name in COUNTS.items():
            assert found.get((name, labels(c))) == getattr(c, key)
        assert found["xenwire_channel_joined", labels(c)] == c.joined
        assert found["xenwire_channel_failed", labels(c)] == (c.error is not None)
    failed = sum(c.error is not None for c in channels)
    assert found["xenwire_channels_failed", frozenset()] == failed
    assert found["xenwire_channels_served", frozenset()] == len(channels) - failed


def test_no_channels():
    found = samples([])
    (build,) = [dict(labels) for name, labels in found if name == "xenwire_build_info"]
    assert build["version"] == __version__
    assert {name for name, _ in found} == {
        "xenwire_build_info",
        "xenwire_channels_served",
        "xenwire_channels_failed",
    }
