"""The same contract as of processes, kept by a real Ray that is started here."""

import os
import socket
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from mining import pipeline
from mining.artifacts import Run
from mining.engines import open_engine
from mining.engines import ray as engine
from mining.engines.ray import RayCluster
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.extraction import SCHEMAS
from mining.fetch import fetch_repositories
from mining.pipeline import CORPUS
from mining.study import CorpusSettings, ScaleSettings, Study
from tests.mining.git_server import GitServer, Host
from tests.mining.s3_server import new_bucket, s3_server

pytestmark = pytest.mark.ray


def settings(address="local", **scale):
    return ScaleSettings(engine="ray", address=address, workers=2, **scale)


# What is said without a cluster


@pytest.mark.parametrize("address", ["nonsense", "ray://h:1", "", "h:", "h:123456", "a b:1"])
def test_what_is_no_address(address):
    with pytest.raises(StudyError, match=r"scale\.address .*10\.0\.0\.1:6379"):
        RayCluster(settings(address))


def test_without_ray(monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(StudyError, match=r"pip install 'lossplace\[ray\]'"):
        open_engine(settings())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "auto"])
def test_a_cluster_that_is_not_there(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ServiceError, match="Expected a Ray cluster"):
        list(RayCluster(settings(address)).map(str, [1], settings))


def test_fetching_several_at_once_is_no_reason_for_other_cores(monkeypatch, tmp_path):
    def join(settings):
        raise ServiceError(f"{settings.workers} cores")

    monkeypatch.setattr(engine, "join", join)
    with pytest.raises(ServiceError, match="2 cores"):
        fetch_repositories(Run(tmp_path), {"o/r": None}, CorpusSettings(jobs=7), scale=settings())


def test_nothing_to_do_asks_no_cluster():
    assert list(RayCluster(settings("127.0.0.1:1")).map(str, [], settings)) == []


# With one


@pytest.fixture(scope="module")
def s3():
    """An address in an S3-compatible server; its environment is also that of Ray's workers."""
    with s3_server():
        yield f"s3://{new_bucket()}/lossplace"


@pytest.fixture(scope="module")
def cluster(s3, tmp_path_factory):
    """Ray, from its first use in this module to the end of it."""
    import ray

    short = Path(f"/tmp/lp{os.getpid()}")  # the names of sockets have at most 107 bytes
    short.mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_TMPDIR", str(short))
        environment.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield RayCluster(settings())
        ray.shutdown()
    for folder, _, files in os.walk(short, topdown=False):
        for name in files:
            Path(folder, name).unlink(missing_ok=True)


def lost(item, reason):
    return item, reason


def late(item):
    time.sleep(0.2 if item % 3 == 0 else 0)
    return item * item


def dies(often, folder, item):
    """The worker of item 3 dies the first so many times."""
    if item == 3:
        tried = len(list(folder.iterdir()))
        (folder / str(tried)).touch()
        if tried < often:
            os._exit(1)
    return -item


class OddError(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def fails(error, item):
    if item == 2:
        if error is OddError:
            raise OddError("odd", 2)
        raise error("found this")
    return item


def leaves(folder, item):
    (folder / str(item)).touch()
    time.sleep(0.1)
    return item


def test_results_come_in_the_order_of_the_items(cluster, monkeypatch):
    monkeypatch.setattr(engine, "_AT_ONCE", 7)
    assert list(cluster.map(late, list(range(10)), lost)) == [i * i for i in range(10)]


def test_what_is_started_here_listens_on_loopback_alone(cluster):
    import ray

    list(cluster.map(late, [1], lost))
    [node] = ray.nodes()
    head = ray.get_runtime_context().gcs_address.rpartition(":")[2]
    for port in (int(head), node["NodeManagerPort"], node["ObjectManagerPort"]):
        socket.create_connection(("127.0.0.1", port), 60).close()
        with pytest.raises(OSError):  # who listens everywhere is here too
            socket.create_connection(("127.0.0.2", port), 60)


def test_an_item_that_kills_is_lost_and_no_other(cluster, tmp_path):
    results = list(cluster.map(partial(dies, 99, tmp_path), list(range(5)), lost))
    assert results == [0, -1, -2, (3, "no process that worked on it survived"), -4]
    assert len(list(tmp_path.iterdir())) == 3


def test_work_lost_with_a_worker_is_done_again(cluster, tmp_path):
    assert list(cluster.map(partial(dies, 1, tmp_path), list(range(5)), lost)) == [
        -i for i in range(5)
    ]


@pytest.mark.parametrize(
    ("raised", "seen", "said"),
    [
        (ArtifactError, ArtifactError, "found this"),
        (ValueError, ValueError, "found this"),
        (OddError, RuntimeError, "OddError: odd"),  # cannot be pickled
    ],
)
def test_what_the_work_raises_is_raised(cluster, raised, seen, said):
    results = cluster.map(partial(fails, raised), list(range(4)), lost)
    with pytest.raises(seen, match=said) as caught:
        list(results)
    assert "in fails" in caught.value.__notes__[0]


def test_closing_ends_the_work(cluster, tmp_path):
    results = cluster.map(partial(leaves, tmp_path), list(range(200)), lost)
    assert next(results) == 0
    results.close()
    begun = -1
    while (now := len(list(tmp_path.iterdir()))) > begun:  # what is under way may end
        begun = now
        time.sleep(0.5)
    assert begun < 200


def test_a_node_with_another_version(cluster, monkeypatch):
    monkeypatch.setattr(engine, "version", lambda _: "9.9")
    with pytest.raises(ServiceError, match=r"lossplace 0\S* on .*, where this is 9\.9"):
        list(cluster.map(late, [1], lost))


# The stages


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path / "host")
    for name in ("o/one", "o/two"):
        host.add(name, {"a.py": b"def loss(a, b):\n    return (a - b) ** 2\n", "n.md": b"#"})
    return host


def mined(tmp_path, name, server, scale):
    listed = tmp_path / "list.csv"
    listed.write_text("repository,commit\no/one,\no/gone,\no/two,\n")
    run = Run(tmp_path / name / "run")
    run.folder.mkdir(parents=True)
    corpus = CorpusSettings(clone_url=server.clone_url, commits=listed)
    study = Study(name="s", corpus=corpus, scale=scale)
    said = [*pipeline.fetch(study, run), *pipeline.extract(study, run)]
    return said, {each: run.path(each).read_bytes() for each in (CORPUS, *SCHEMAS)}, run


def test_fetched_and_extracted_by_a_cluster_through_storage(cluster, s3, host, tmp_path):
    with GitServer(host.folder) as server:
        here = mined(tmp_path, "here", server, ScaleSettings())
        shared = mined(tmp_path, "shared", server, settings())
        stored = mined(tmp_path, "stored", server, settings(storage=s3))
        before = len(server.requests)
        again = mined(tmp_path, "again", server, settings(storage=s3))  # the same clones
        asked = {each.repository for each in server.requests[before:]}
    assert here[:2] == shared[:2] == stored[:2] == again[:2]
    assert here[0][0] == "fetch: 2 repositories, 1 dropped"
    assert asked == {"o/gone"}
    assert sorted(p.name for p in shared[2].path("clones").iterdir()) == [
        "o__one.git",
        "o__two.git",
    ]
    objects = boto3.client("s3").list_objects_v2(Bucket=urlsplit(s3).netloc)["Contents"]
    assert [each["Key"] for each in objects] == [
        "lossplace/run/clones/o__one.tar",
        "lossplace/run/clones/o__two.tar",
    ]
    assert not stored[2].path("clones").exists()
    texts = [path.read_text("utf-8", "ignore") for path in tmp_path.rglob("*.json")]
    assert texts and not any("secret" in text for text in texts)
