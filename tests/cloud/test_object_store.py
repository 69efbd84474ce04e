"""Files on S3 and in folders through one interface, and an S3 that goes away."""

import threading
import time

import pytest
from cloud_support import BUCKET

from roadsense.cloud.dataset_cache import fetch_dataset, store_dataset
from roadsense.cloud.object_store import ObjectStore
from roadsense.errors import CloudError, DatasetError
from roadsense.scenario.dataset import Dataset


@pytest.fixture(params=["s3", "folder"])
def address(request, tmp_path, aws):
    return f"s3://{BUCKET}/place" if request.param == "s3" else str(tmp_path / "place")


def test_what_is_stored_is_found_read_listed_and_removed(address, tmp_path):
    store = ObjectStore(address)
    assert store.list() == []
    (tmp_path / "file").write_bytes(b"one")
    store.put(tmp_path / "file", "a/b.txt")
    store.write("a/c.txt", b"three")
    assert [(file.key, file.size_bytes) for file in store.list()] == [("a/b.txt", 3), ("a/c.txt", 5)]
    assert store.read("a/b.txt") == b"one"
    assert store.exists("a/b.txt") and not store.exists("a/d.txt")
    store.fetch("a/c.txt", tmp_path / "here" / "c.txt")
    assert (tmp_path / "here" / "c.txt").read_bytes() == b"three"
    store.write("a/b.txt", b"two, longer")
    assert store.read("a/b.txt") == b"two, longer"
    store.delete("a/b.txt")
    store.delete("a/b.txt")
    assert [file.key for file in store.list("a")] == ["a/c.txt"]
    store.delete_below("a")
    assert store.list() == []


def test_a_missing_file_is_one_line_at_once(address):
    began = time.monotonic()
    with pytest.raises(CloudError, match=r"cannot read it"):
        ObjectStore(address, patience_s=0).read("nothing/here")
    assert time.monotonic() - began < 5


def test_a_missing_bucket_is_not_tried_again(aws):
    began = time.monotonic()
    with pytest.raises(CloudError, match="check the address"):
        ObjectStore("s3://no-such-bucket-of-ours/x").read("y")
    assert time.monotonic() - began < 10


def test_an_object_store_that_is_gone_for_a_while_costs_nothing(gate):
    store = ObjectStore(f"s3://{BUCKET}/place")
    store.write("before", b"1")
    gate.shut()
    threading.Timer(6, gate.open).start()
    began = time.monotonic()
    store.write("during", b"2")
    assert time.monotonic() - began >= 5
    assert store.read("before") + store.read("during") == b"12"


def test_a_store_that_stays_away_is_one_line(gate):
    gate.shut()
    with pytest.raises(CloudError, match=r"s3://.*/k: cannot write it \(.*\); check the network"):
        ObjectStore(f"s3://{BUCKET}/place", patience_s=1).write("k", b"")


def test_a_dataset_is_fetched_once_and_verified(aws, dataset_dir, tmp_path):
    address = f"s3://{BUCKET}/datasets/ds"
    store_dataset(dataset_dir, address)
    first = fetch_dataset(address, tmp_path / "cache")
    assert Dataset.load(first).hash == Dataset.load(dataset_dir).hash
    store = ObjectStore(address)
    victim = next(file.key for file in store.list() if file.key.endswith(".rou.xml"))
    store.write(victim, b"<routes/>")
    assert fetch_dataset(address, tmp_path / "cache") == first  # from the cache: the manifest is the same
    with pytest.raises(DatasetError, match="was changed after generation"):
        fetch_dataset(address, tmp_path / "other")
    assert [path for path in (tmp_path / "other").iterdir() if path.is_dir()] == []


def test_nothing_without_a_manifest_is_a_dataset(aws):
    with pytest.raises(CloudError, match="no dataset could be read there"):
        fetch_dataset(f"s3://{BUCKET}/datasets/none")
