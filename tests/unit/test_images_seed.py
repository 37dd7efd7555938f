"""Seeds for cloud-init, as blkid and a small reader of ISO 9660 see them."""

import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenwire.images import nocloud_seed

SECTOR = 2048


def read(disc):
    """Give the label and the files of a disc whose root has files only."""
    descriptor = disc[16 * SECTOR : 17 * SECTOR]
    assert descriptor[:7] == b"\1CD001\1"
    assert disc[17 * SECTOR :][:7] == b"\xffCD001\1"
    assert number(descriptor[80:88]) * SECTOR == len(disc)
    start, size = number(descriptor[158:166]), number(descriptor[166:174])
    folder = disc[start * SECTOR :][:size]
    files = {}
    while length := folder[0]:
        record, folder = folder[:length], folder[length:]
        name = record[33 : 33 + record[32]]
        data = disc[number(record[2:10]) * SECTOR :][: number(record[10:18])]
        if record[25]:
            assert name in (b"\0", b"\1")
            assert data == disc[start * SECTOR :][:size]
        else:
            files[name] = data
    return descriptor[40:72].rstrip(), files


def number(both):
    little, big = struct.unpack("<I", both[:4]), struct.unpack(">I", both[4:])
    assert little == big
    return little[0]


@given(st.binary(max_size=5000), st.binary(max_size=5000))
def test_its_files(user_data, meta_data):
    label, files = read(nocloud_seed(user_data, meta_data))
    assert label == b"cidata"
    assert files == {b"USER-DATA;1": user_data, b"META-DATA;1": meta_data}


@pytest.mark.skipif(shutil.which("blkid") is None, reason="no blkid")
def test_blkid_knows_it(tmp_path):
    (tmp_path / "seed").write_bytes(nocloud_seed(b"#cloud-config\n", b"instance-id: one\n"))
    argv = ["blkid", "--probe", "--output", "export", tmp_path / "seed"]
    found = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(found)
