"""On a service that refuses, loses answers and stumbles, one writer wins and says so; what can't work says why."""

import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airshower.cluster import s3_pages
from airshower.cluster.backoff import is_transient
from airshower.cluster.object_store import ObjectStore
from airshower.cluster.store import StoreError, open_store
from tests.cluster.faulty_proxy import DROPPED, Fault, faulty_proxy

RUN = "s3://drives/run"


@pytest.fixture
def service(bucket, monkeypatch):
    """A proxy that the environment names as the S3 service; nobody waits between tries."""
    monkeypatch.setattr(random, "uniform", lambda least, most: 0.0)
    with faulty_proxy(bucket.meta.endpoint_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def test_of_many_writers_one_wins(service):
    stores = [open_store(RUN, probe=False) for _ in range(8)]
    barrier = threading.Barrier(len(stores))

    def race(number):
        won = []
        for turn in range(20):
            barrier.wait(timeout=60)
            if stores[number].create(f"turns/{turn}", b"%d " % number * 1000):
                won.append(turn)
        return won

    with ThreadPoolExecutor(len(stores)) as pool:
        won = list(pool.map(race, range(len(stores))))
    assert sorted(turn for turns in won for turn in turns) == list(range(20))
    assert all(stores[0].read(f"turns/{turn}") == b"%d " % number * 1000 for number in range(8) for turn in won[number])


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, ""), (400, "RequestTimeout"), (DROPPED, "")],
)
def test_a_service_that_stumbles_is_asked_again(service, tmp_path, caplog, status, code):
    store = open_store(RUN)
    (tmp_path / "local").write_bytes(b"local")
    service.faults = [Fault(method, status, code) for method in ("PUT", "GET", "DELETE", "POST") for _ in range(2)]
    assert store.create("a/1", b"1")
    assert store.read("a/1") == b"1"
    service.faults += [Fault("PUT", status, code), Fault("GET", status, code)]
    store.write("a/2", b"2")
    store.put("a/3", tmp_path / "local")
    assert sorted(store.names("a")) == ["1", "2", "3"]
    store.delete("a/1")
    store.delete_folder("a")
    assert service.faults == []
    assert list(store.names("")) == []
    waits = [record.getMessage() for record in caplog.records if record.name == "airshower.cluster.backoff"]
    assert waits[0].startswith(f"{RUN}/a/1: ")
    assert waits[0].endswith(": try 2 of 6 in 0.0 s")


@pytest.mark.parametrize("times", [1, 3])
def test_a_creation_whose_answer_got_lost_has_won(service, times):
    store = open_store(RUN, probe=False)
    service.faults = [Fault("PUT", DROPPED, passed_on=True)] * times
    assert store.create("a", b"nonce 1")
    service.faults = [Fault("PUT", 500, "InternalError", passed_on=True)] * times
    assert not store.create("a", b"nonce 2")
    assert store.read("a") == b"nonce 1"


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_writers_that_meet_are_asked_to_come_again(service, code):
    service.faults = [Fault("PUT", 409, code)]
    assert open_store(RUN, probe=False).create("a", b"1")


def test_a_service_that_is_down_ends_as_a_transient_error(service):
    store = open_store(RUN, probe=False)
    service.faults = [Fault("PUT", 503, "SlowDown")] * 10
    with pytest.raises(OSError, match=rf"{RUN}/a: the service refuses \(SlowDown\): ") as error:
        store.create("a", b"1")
    assert len(service.faults) == 4
    assert is_transient(error.value)


def test_a_service_that_doesnt_name_the_condition_will_do(service):
    service.names_conditions = False
    store = open_store(RUN)
    assert store.create("a", b"1")
    assert not store.create("a", b"2")


def test_a_service_without_conditional_writes_is_refused(service, bucket):
    service.ignores_conditions = True
    with pytest.raises(StoreError, match="two writers could create one object, so that rows might be made twice"):
        open_store(RUN)
    assert "Contents" not in bucket.list_objects_v2(Bucket="drives")


@pytest.mark.parametrize(
    ("method", "status", "code", "said"),
    [
        ("GET", 403, "InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"),
        ("GET", 403, "SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
        ("PUT", 403, "AccessDenied", "allow these credentials to list the bucket"),
        ("GET", 403, "RequestTimeTooSkewed", "set the clock"),
        ("PUT", 501, "NotImplemented", "knows no conditional writes"),
        ("PUT", 400, "KeyTooLongError", r"the service refuses \(KeyTooLongError\): "),
    ],
)
def test_a_refusal_is_one_line_with_a_remedy_at_once(service, method, status, code, said):
    service.faults = [Fault(method, status, code)] * 3
    with pytest.raises(StoreError, match=said) as refused:
        open_store(RUN)
    assert str(refused.value).startswith(f"{RUN}: ")
    assert "\n" not in str(refused.value)
    assert len(service.faults) == 2  # nothing was asked again


def test_wrong_credentials(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody's")
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on moto checks who asks
    with pytest.raises(StoreError, match="check AWS_ACCESS_KEY_ID"):
        open_store(RUN)


def test_no_credentials(service, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StoreError, match="there are no credentials: set AWS_ACCESS_KEY_ID"):
        open_store(RUN)


def test_a_bucket_that_isnt_there(service):
    with pytest.raises(StoreError, match=r"^s3://flights/run: there is no such bucket: create it or correct"):
        open_store("s3://flights/run")


def test_a_service_that_isnt_there(service, monkeypatch):
    service.server_close()
    with pytest.raises(StoreError, match=rf"^{RUN}: can't be reached: .*{service.url}"):
        open_store(RUN)


def test_a_bucket_that_vanishes_is_not_a_missing_file(service, bucket):
    store = open_store(RUN)
    bucket.delete_bucket(Bucket="drives")
    calls = [
        lambda: store.read("a"),
        lambda: store.create("a", b""),
        lambda: store.delete("a"),
        lambda: list(store.names("")),
    ]
    for call in calls:
        with pytest.raises(OSError, match="there is no such bucket") as error:
            call()
        assert not isinstance(error.value, FileNotFoundError)


def test_folders_of_many_pages(service, monkeypatch):
    monkeypatch.setattr(s3_pages, "PAGE_KEYS", 10)
    store = open_store(RUN, probe=False)
    names = sorted(f"{number % 3}/{number}.json" for number in range(25))
    for name in names:
        store.write(f"commits/{name}", b"")
    service.requests.clear()
    assert sorted(store.names("commits")) == names
    assert [method for method, _ in service.requests] == ["GET"] * 3
    store.delete_folder("commits")
    assert list(store.names("")) == []


def test_an_object_that_cant_be_deleted_is_named(service):
    store = open_store(RUN, probe=False)
    store.write("a/1", b"")
    refused = "<Error><Key>run/a/1</Key><Code>AccessDenied</Code><Message>by order</Message></Error>"
    service.faults = [Fault("POST", 200, body=f"<DeleteResult>{refused}</DeleteResult>")]
    with pytest.raises(OSError, match=f"{RUN}/a: access is denied"):
        store.delete_folder("a")


def test_a_store_is_sent_as_its_url(service):
    sent = pickle.dumps(ObjectStore(RUN + "/"))
    assert len(sent) < 200
    store = pickle.loads(sent)
    assert (store.location, store.url("a b/c")) == (RUN + "/", RUN + "/a b/c")
    store.write("a b/c", b"1")
    assert pickle.loads(pickle.dumps(store)).read("a b/c") == b"1"
