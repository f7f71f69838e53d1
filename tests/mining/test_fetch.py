import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mining.artifacts import STUDY, Run
from mining.clones import CLONES, ClonesInFolder
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.fetch import _Job, fetch_repositories
from mining.git import Git, UnansweredError
from mining.locking import LOCK
from mining.records import Dropped
from mining.study import CorpusSettings, ScaleSettings
from tests.mining.git_server import GitServer, Host, git

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path / "host")


@pytest.fixture
def server(host):
    host.folder.mkdir()
    with GitServer(host.folder) as server:
        yield server


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


class Waits(list):
    def __call__(self, seconds, why):
        self.append((seconds, why))


def fetch(run, clone_url, *repositories, waits=None, **settings):
    return fetch_repositories(
        run,
        dict.fromkeys(repositories),
        CorpusSettings(clone_url=clone_url, **settings),
        Waits() if waits is None else waits,
        scale=ScaleSettings(),
    )


def listed(run):
    return sorted(path.name for path in run.path(CLONES).iterdir())


@pytest.mark.parametrize(
    ("repository", "reason"),
    [
        ("ada/gone", "not found"),
        ("ada/empty", "empty: it holds no commit"),
        ("ada/not-git", "not found"),
        ("ada", "not a repository's name"),
        ("ada/..", "not a repository's name"),
        ("../ada/net", "not a repository's name"),
        ("ada/net;id", "not a repository's name"),
    ],
)
def test_what_cannot_be_had_is_dropped_with_the_reason(run, host, server, repository, reason):
    host.add("ada/net", {"a.py": b"1"})
    host.add("ada/empty")
    (host.folder / "ada/not-git.git").mkdir()
    waits = Waits()
    done, dropped = fetch(run, server.clone_url, repository, "ada/net", waits=waits)
    assert list(done) == ["ada/net"]
    assert [(d.subject, d.stage) for d in dropped] == [(repository, "fetch")]
    assert reason in dropped[0].reason
    assert waits == []
    assert listed(run) == ["ada__net.git"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_both_keep_the_order(run, host, server, jobs):
    names = [f"o/r{i}" for i in range(5)]
    for name in names[::2]:
        host.add(name, {"a.py": b"1"})
    done, dropped = fetch(run, server.clone_url, *names, jobs=jobs)
    assert list(done) == names[::2]
    assert [each.subject for each in dropped] == names[1::2]


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_what_is_there_is_not_fetched_again(run, host, server, scheme):
    origin = host.add("ada/net", {"a.py": b"1"})
    url = server.clone_url if scheme == "http" else f"file://{host.folder}/{{repository}}.git"
    part = run.path(CLONES) / ".ada__net.git.part"
    part.mkdir(parents=True)
    run.path(STUDY).touch()
    (part / "left.py").write_text("by a crash")
    first, _ = fetch(run, url, "ada/net")
    assert first["ada/net"].commit.sha1 == git(origin, "rev-parse", "HEAD")
    assert first["ada/net"].folder == run.path("clones/ada__net.git")
    assert listed(run) == ["ada__net.git"]
    shutil.rmtree(host.folder)
    assert fetch(run, url, "ada/net") == (first, [])


def test_other_settings_fetch_again_and_leave_nothing_else(run, host, server):
    host.add("ada/net", {"a.py": b"1", "n.ipynb": b"{}"})
    first, _ = fetch(run, server.clone_url, "ada/net")
    again, _ = fetch(run, server.clone_url, "ada/net", notebooks=True)
    assert again["ada/net"].wanted.notebooks
    assert again["ada/net"].folder == first["ada/net"].folder
    assert listed(run) == ["ada__net.git"]


def test_a_smaller_limit_holds_for_what_is_there(run, host, server):
    host.add("ada/net", {f"{i}.py": b"%d" % i**99 for i in range(200)})
    fetch(run, server.clone_url, "ada/net")
    done, (dropped,) = fetch(run, server.clone_url, "ada/net", max_repository_bytes=10_000)
    assert (done, dropped.reason) == ({}, "larger than the limit of 10000 bytes")


def test_commits_that_are_given(run, host, server):
    origin = host.add("ada/net", {"a.py": b"1"})
    first = git(origin, "rev-parse", "HEAD")
    last = host.commit(origin, {"a.py": b"2"})
    for wanted, commit in ((first, first), (last, last), (None, last), (first, first)):
        settings = CorpusSettings(clone_url=server.clone_url)
        done, _ = fetch_repositories(
            run, {"ada/net": wanted}, settings, Waits(), scale=ScaleSettings()
        )
        assert done["ada/net"].commit.sha1 == commit


def test_one_process_at_a_time(run, host, server):
    run.folder.mkdir()
    with run.path(LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="another lossplace at work"):
            fetch(run, server.clone_url, "ada/net")
    assert fetch(run, server.clone_url)[0] == {}


def test_a_folder_that_is_no_clone(run, server):
    run.path("clones/ada__net.git").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="found something else"):
        fetch(run, server.clone_url, "ada/net")


def test_a_git_that_runs_lossplace_in_a_hook_is_not_disturbed(run, host, server, monkeypatch):
    origin = host.add("ada/net", {"a.py": b"1"})
    around = host.add("bob/around", {"b.py": b"1"})
    head = git(origin, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(around / ".git/index"))
    done, _ = fetch(run, f"file://{host.folder}/{{repository}}.git", "ada/net")
    assert done["ada/net"].commit.sha1 == head


# When a host does not answer


@pytest.fixture
def deaf():
    """The address of a host that refuses every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"https://127.0.0.1:{port}/{{repository}}.git"


@pytest.mark.parametrize("count", [1, 9])
def test_a_network_that_is_down_is_an_error_not_an_empty_corpus(run, deaf, count):
    waits = Waits()
    names = [f"o/r{i}" for i in range(count)]
    with pytest.raises(ServiceError, match=r"does not answer .*Failed to connect"):
        fetch(run, deaf, *names, waits=waits)
    assert [seconds for seconds, why in waits if "o/r0 " in why] == [4, 16]
    assert listed(run) == []


def test_a_network_that_goes_down_keeps_what_was_fetched(run, host, server, deaf):
    host.add("ada/net", {"a.py": b"1"})
    fetch(run, server.clone_url, "ada/net")
    with pytest.raises(ServiceError, match="what is fetched stays"):
        fetch(run, deaf, "ada/net", "bob/net")
    assert listed(run) == ["ada__net.git"]


@pytest.mark.parametrize("other", ["ada/net", "ada/gone"])
@pytest.mark.parametrize("first", [True, False])
def test_a_repository_that_alone_does_not_answer_is_dropped(
    run, host, server, deaf, home, other, first
):
    host.add("ada/net", {"a.py": b"1"})
    here = deaf.replace("{repository}.git", "ada/")
    # as a proxy, or a mirror of one owner, may be set up
    (home / ".gitconfig").write_text(f'[url "file://{host.folder}/ada/"]\n insteadOf = "{here}"\n')
    names = ["bob/net", other] if first else [other, "bob/net"]
    _, dropped = fetch(run, deaf, *names)
    assert "Failed to connect" in {each.subject: each.reason for each in dropped}["bob/net"]


def test_a_repository_that_alone_is_slow_is_dropped(run, host, fake_git):
    fake_git("*o/slow*' fetch '*) sleep 600;; *ls-remote*) echo 1234 HEAD;;")
    # within the limit of the one, the host must answer for it
    done, (dropped,) = fetch(run, "https://h/{repository}", "o/slow", timeout_s=3)
    assert (done, dropped) == ({}, Dropped("o/slow", "fetch", "not fetched within 3 s"))


def test_a_host_that_is_silent_is_an_error(run, fake_git):
    fake_git("*' fetch '*|*ls-remote*) sleep 600;;")
    with pytest.raises(ServiceError, match="not fetched within 1 s"):
        fetch(run, "https://h/{repository}", "o/a", "o/b", timeout_s=1)


# What git says


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    """Replaces git by a script, of which the test gives the cases of its arguments."""

    def install(cases, version="git version 2.39.5"):
        script = tmp_path / "bin" / "git"
        script.parent.mkdir()
        script.write_text(
            f'#!/bin/sh\ncase "$*" in\nversion) echo "{version}";;\n*" config "*) ;;\n'
            f"{cases}\nesac\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")

    return install


def saying(said):
    return f"*' fetch '*) cat >&2 <<'SAID'\n{said}\nSAID\nexit 128;;"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("remote: Repository not found.\nfatal: repository 'u' not found", "Repository not found."),
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            "not found, or private: the host asks for a login",
        ),
        (
            "remote: Repository unavailable due to DMCA takedown.\n"
            "fatal: unable to access 'u': The requested URL returned error: 451",
            "Repository unavailable due to DMCA takedown.",
        ),
        (
            "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
            "Repository not found.",
        ),
        ("git@h: Permission denied (publickey).\nfatal: Could not read", "git@h: Permission"),
        ("warning: x\n\nfatal: repository 'u/SSL/Failed to connect' not found", "repository"),
        ("remote: No space left\nfatal: nothing here", "No space left"),
        ("remote: File too large\nfatal: nothing here", "File too large"),
        ("fatal: write error: File too large", "larger than the limit of 1000000000 bytes"),
        ("fatal: \x1b[31mred\x07", "[31mred"),
        ("", "git gave no reason"),
        ("fatal: " + "long " * 100, "long"),
    ],
)
def test_a_refusal_is_dropped(run, fake_git, said, reason):
    fake_git(saying(said))
    _, (dropped,) = fetch(run, "https://h/{repository}", "o/r")
    assert dropped == Dropped("o/r", "fetch", dropped.reason)
    assert dropped.reason.startswith(reason)
    assert dropped.reason.isprintable() and len(dropped.reason) <= 200


@pytest.mark.parametrize(
    "said",
    [
        "fatal: unable to access 'u': Could not resolve host: github.com",
        "fatal: unable to access 'u': The requested URL returned error: 503",
        "fatal: unable to access 'u': The requested URL returned error: 429",
        "fatal: unable to access 'u': gnutls_handshake() failed: Error in the pull function.",
        "fatal: unable to access 'u': server certificate verification failed. CAfile: none",
        "error: RPC failed; curl 92 HTTP/2 stream 5 was not closed cleanly\nfatal: early EOF",
        "fatal: the remote end hung up unexpectedly",
        "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote",
    ],
)
def test_a_broken_answer_is_tried_again(run, fake_git, said):
    fake_git(saying(said))
    waits = Waits()
    with pytest.raises(ServiceError, match="does not answer"):
        fetch(run, "https://h/{repository}", "o/r", waits=waits)
    assert [seconds for seconds, _ in waits] == [4, 16]


def test_a_full_disk_is_nobody_s_refusal(run, fake_git):
    fake_git(saying("fatal: write error: No space left on device"))
    with pytest.raises(ArtifactError, match="make room"):
        fetch(run, "https://h/{repository}", "o/r")


@pytest.mark.timeout(60)
def test_a_fetch_without_end_is_ended_with_its_helpers(run, fake_git, tmp_path):
    # the helper keeps the pipe open on which git's words come
    fake_git(
        f"*' fetch '*) sleep 600 & echo $! > {tmp_path}/helper; wait;; *ls-remote*) echo 1 HEAD;;"
    )
    fetch(run, "https://h/{repository}", "o/r", timeout_s=2)
    wait_for_the_end_of(int((tmp_path / "helper").read_text()))


@pytest.mark.timeout(60)
def test_an_end_in_between_ends_what_runs(run, fake_git, tmp_path):
    helper = tmp_path / "helper"
    fake_git(
        f"*o/slow*' fetch '*) sleep 600 & echo $! > {helper}.new; mv {helper}.new {helper}; wait;;\n"
        f"*' fetch '*) while ! test -e {helper}; do sleep 0.01; done; echo 'early EOF' >&2; exit 128;;"
    )

    def interrupted(seconds, why):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(run, "https://h/{repository}", "o/bad", "o/slow", waits=interrupted)
    wait_for_the_end_of(int(helper.read_text()))


FETCH = """
import sys
from pathlib import Path
from mining.artifacts import Run
from mining.clones import CLONES
from mining.fetch import fetch_repositories
from mining.study import CorpusSettings, ScaleSettings
corpus = CorpusSettings(clone_url=sys.argv[2])
fetch_repositories(Run(Path(sys.argv[1])), {"ada/net": None}, corpus, scale=ScaleSettings())
"""


@pytest.mark.timeout(60)
def test_git_ends_with_lossplace_however_that_ends(run, host):
    host.add("ada/net", {"a.py": os.urandom(300_000)})
    with GitServer(host.folder, bytes_per_s=10_000) as server:
        process = subprocess.Popen([sys.executable, "-c", FETCH, run.folder, server.clone_url])
        while not list(run.folder.glob("clones/.*.part/objects/pack/tmp_*")):
            assert process.poll() is None
            time.sleep(0.01)
        running = processes_naming(run.folder)
        assert len(running) > 1
        process.kill()  # of itself alone, so that nothing tells git
        process.wait()
        for each in running:
            wait_for_the_end_of(each)
    assert [path.suffix for path in run.path(CLONES).iterdir()] == [".part"]


def processes_naming(folder):
    named = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                named.append(int(path.parent.name))
    return named


def wait_for_the_end_of(process_id):
    """Return once a process has ended, waited for or not; a test that hangs here has failed."""
    stat = Path(f"/proc/{process_id}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while "Z" not in stat.read_text().rpartition(")")[2].split()[0]:
            time.sleep(0.01)


@pytest.mark.parametrize("version", ["git version 2.31.1", "git version 1.8", "fortune"])
def test_an_old_git(run, fake_git, version):
    fake_git("*) exit 1;;", version)
    with pytest.raises(ServiceError, match=r"2\.32 or newer"):
        fetch(run, "https://h/{repository}", "o/r")


def test_no_git(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="install git"):
        fetch(run, "https://h/{repository}", "o/r")


@pytest.mark.parametrize(
    ("clone_url", "message"),
    [
        ("https://github.com/", "names {repository}"),
        ("http://h/{repository}", "begins with https"),
        ("ext::sh -c {repository}", "begins with https"),
        ("git://h/{repository}", "begins with https"),
        ("https://[/{repository}", "begins with https"),
        ("", "begins with https"),
    ],
)
def test_a_wrong_clone_url(run, clone_url, message):
    with pytest.raises(StudyError, match=message) as caught:
        fetch(run, clone_url, "o/r")
    assert "corpus.clone_url" in str(caught.value)


def test_what_was_stopped_is_not_tried_again(tmp_path):
    git, waits = Git(["https"]), Waits()
    git.stop()
    job = _Job(git, ClonesInFolder(tmp_path), CorpusSettings(), waits)
    assert isinstance(job(("ada/net", None)), UnansweredError)
    assert waits == []
