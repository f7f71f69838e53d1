import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from mining.artifacts import Run
from mining.checkout import CHECKOUTS, commit_of, fetch_repositories
from mining.corpus import walk
from mining.errors import ArtifactError, ServiceError, StudyError
from mining.records import Dropped

MODEL = b"def loss(x):\n    return x  # $Id$\r\n"


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


class Host:
    """Real repositories in a folder, served by file:// as a host serves them by https://."""

    def __init__(self, folder):
        self.folder = folder
        self.clone_url = f"file://{folder}/{{repository}}"

    def add(self, name, files, links=()):
        """Add a repository with one commit of these files; none makes an empty repository."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet")
        git(folder, "config", "uploadpack.allowFilter", "true")
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        for path, target in links:
            (folder / path).symlink_to(target)
        if files:
            git(folder, "add", "--force", ".")
            git(folder, "commit", "--quiet", "--message", "one")
        return folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's own settings, which no test shares with the machine."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path / "host")


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


class Waits(list):
    def __call__(self, seconds, why):
        self.append((seconds, why))


def fetch(run, host, *repositories, waits=None):
    waits = Waits() if waits is None else waits
    return fetch_repositories(run, repositories, host.clone_url, waits)


def listed(run):
    return sorted(path.name for path in (run.folder / CHECKOUTS).iterdir())


def files_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if _own(p, folder))


def _own(path, folder):
    return not path.is_dir() and ".git" not in path.relative_to(folder).parts


def test_only_python_files_come_and_only_their_contents(run, host):
    files = {"model.py": MODEL, "src/deep/train.py": b"pass\n", "README.md": b"#", "w.bin": b"\0"}
    origin = host.add("ada/net", files)
    (checkout,), dropped = fetch(run, host, "ada/net")
    assert (checkout.repository, dropped) == ("ada/net", [])
    assert checkout.folder == run.folder / CHECKOUTS / "ada__net"
    assert checkout.commit == git(origin, "rev-parse", "HEAD") == commit_of(checkout.folder)
    assert files_of(checkout.folder) == ["model.py", "src/deep/train.py"]

    missing = git(checkout.folder, "rev-list", "--objects", "--missing=print", "HEAD")
    assert sorted(line[1:] for line in missing.splitlines() if line.startswith("?")) == sorted(
        git(origin, "rev-parse", f"HEAD:{name}") for name in ("README.md", "w.bin")
    )


def test_history_does_not_come(run, host):
    origin = host.add("ada/net", {"a.py": b"1"})
    git(origin, "commit", "--quiet", "--allow-empty", "--message", "two")
    (checkout,), _ = fetch(run, host, "ada/net")
    assert git(checkout.folder, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize(
    "attributes",
    [
        "*.py text eol=crlf\n",
        "*.py ident\n",
        "*.py working-tree-encoding=UTF-16\n",
        "*.py filter=evil\n",
        "*.py filter=lfs diff=lfs merge=lfs -text\n",
    ],
)
def test_files_are_those_committed_and_no_filter_runs(run, host, home, tmp_path, attributes):
    ran = tmp_path / "ran"
    origin = host.add("ada/net", {"a.py": MODEL})
    (origin / ".gitattributes").write_text(attributes)
    # committed past the attributes, as one can over the network
    git(origin, "config", "core.attributesFile", "/dev/null")
    tree = git(origin, "hash-object", "-w", "--no-filters", ".gitattributes")
    git(origin, "update-index", "--add", "--cacheinfo", f"100644,{tree},.gitattributes")
    git(origin, "commit", "--quiet", "--message", "attributes")
    (home / ".gitconfig").write_text(
        "[core]\n autocrlf = true\n"
        f'[filter "evil"]\n smudge = touch {ran}\n required = true\n'
        f'[filter "lfs"]\n smudge = touch {ran}\n process = touch {ran}\n required = true\n'
    )
    (checkout,), _ = fetch(run, host, "ada/net")
    assert (checkout.folder / "a.py").read_bytes() == MODEL
    assert not ran.exists()


def test_no_hook_runs(run, host, home, tmp_path):
    host.add("ada/net", {"a.py": b"1"})
    ran = tmp_path / "ran"
    hook = home / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[init]\n templateDir = {hook.parent.parent}\n[core]\n hooksPath = {hook.parent}\n"
    )
    (checkout,), _ = fetch(run, host, "ada/net")
    assert checkout.commit
    assert not ran.exists()


def test_links_stay_links_and_submodules_stay_away(run, host):
    inner = host.add("bob/inner", {"inner.py": b"1"})
    origin = host.add("ada/net", {"a.py": b"1"}, links=[("link.py", "a.py"), ("etc.py", "/etc")])
    git(origin, "-c", "protocol.file.allow=always", "submodule", "add", str(inner), "sub")
    git(origin, "commit", "--quiet", "--message", "submodule")
    (checkout,), _ = fetch(run, host, "ada/net")
    seen = {file.path: file.outcome for file in walk(checkout.folder, 1000)}
    assert seen == {"a.py": None, "etc.py": "link", "link.py": "link"}


def test_a_repository_without_python_is_a_checkout_without_files(run, host):
    host.add("ada/notes", {"README.md": b"#"})
    (checkout,), dropped = fetch(run, host, "ada/notes")
    assert (files_of(checkout.folder), dropped) == ([], [])


@pytest.mark.parametrize(
    ("repository", "reason"),
    [
        ("ada/gone", "does not appear to be a git repository"),
        ("ada/empty", "empty: it holds no commit"),
        ("ada/not-git", "does not appear to be a git repository"),
        ("ada", "not a repository's name"),
        ("ada/..", "not a repository's name"),
        ("../ada/net", "not a repository's name"),
        ("ada/net;id", "not a repository's name"),
    ],
)
def test_what_cannot_be_had_is_dropped_with_the_reason(run, host, repository, reason):
    host.add("ada/net", {"a.py": b"1"})
    host.add("ada/empty", {})
    (host.folder / "ada/not-git").mkdir()
    waits = Waits()
    done, dropped = fetch(run, host, repository, "ada/net", waits=waits)
    assert [checkout.repository for checkout in done] == ["ada/net"]
    assert [(d.subject, d.stage) for d in dropped] == [(repository, "fetch")]
    assert reason in dropped[0].reason
    assert waits == []
    assert listed(run) == ["ada__net"]


def test_both_lists_keep_the_order(run, host):
    names = [f"o/r{i}" for i in range(9)]
    for name in names[::2]:
        host.add(name, {"a.py": b"1"})
    done, dropped = fetch(run, host, *names)
    assert [checkout.repository for checkout in done] == names[::2]
    assert [each.subject for each in dropped] == names[1::2]


def test_what_is_there_is_not_fetched_again(run, host):
    host.add("ada/net", {"a.py": b"1"})
    part = run.folder / CHECKOUTS / ".ada__net.part"
    part.mkdir(parents=True)
    (part / "left.py").write_text("by a crash")
    first, _ = fetch(run, host, "ada/net")
    assert not part.exists()
    assert files_of(first[0].folder) == ["a.py"]
    shutil.rmtree(host.folder)
    assert fetch(run, host, "ada/net") == (first, [])


def test_a_folder_that_is_no_checkout(run, host):
    (run.folder / CHECKOUTS / "ada__net").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="without a commit"):
        fetch(run, host, "ada/net")


def test_a_git_that_runs_lossplace_in_a_hook_is_not_disturbed(run, host, tmp_path, monkeypatch):
    host.add("ada/net", {"a.py": b"1"})
    around = host.add("bob/around", {"b.py": b"1"})
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(around / ".git/index"))
    (checkout,), _ = fetch(run, host, "ada/net")
    assert files_of(checkout.folder) == ["a.py"]


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
        fetch_repositories(run, names, deaf, waits)
    assert [seconds for seconds, why in waits if "o/r0 " in why] == [4, 16]
    assert listed(run) == []


def test_a_network_that_goes_down_keeps_what_was_fetched(run, host, deaf, home):
    host.add("ada/net", {"a.py": b"1"})
    fetch(run, host, "ada/net")
    with pytest.raises(ServiceError, match="what is fetched stays"):
        fetch_repositories(run, ["ada/net", "bob/net"], deaf, Waits())
    assert listed(run) == ["ada__net"]


@pytest.mark.parametrize("other", ["ada/net", "ada/gone"])
@pytest.mark.parametrize("first", [True, False])
def test_a_repository_that_alone_does_not_answer_is_dropped(run, host, deaf, home, other, first):
    host.add("ada/net", {"a.py": b"1"})
    there = f"file://{host.folder}/ada/"
    here = deaf.replace("{repository}.git", "ada/")
    (home / ".gitconfig").write_text(f'[url "{there}"]\n insteadOf = "{here}"\n')
    names = ["bob/net", other] if first else [other, "bob/net"]
    (host.folder / "ada/net").rename(host.folder / "ada/net.git")
    _, dropped = fetch_repositories(run, names, deaf, Waits())
    assert "Failed to connect" in {each.subject: each.reason for each in dropped}["bob/net"]


# What git says


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    """Replaces git by a script, of which the test gives what ``git clone`` does."""

    def install(clone, version="git version 2.39.5"):
        script = tmp_path / "bin" / "git"
        script.parent.mkdir()
        script.write_text(
            f'#!/bin/sh\ncase "$*" in\nversion) echo "{version}";;\n*ls-remote*) exit 0;;\n'
            f'*" clone "*)\n{clone}\n;;\nesac\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")

    return install


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
        ("warning: x\n\nfatal: repository 'u/SSL/Failed to connect' not found", "repository"),
        ("remote: No space left\nfatal: nothing here", "No space left"),
        ("fatal: \x1b[31mred\x07", "[31mred"),
        ("", "git gave no reason"),
        ("fatal: " + "long " * 100, "long"),
    ],
)
def test_a_refusal_is_dropped(run, fake_git, said, reason):
    fake_git(f"cat >&2 <<'SAID'\n{said}\nSAID\nexit 128")
    _, (dropped,) = fetch_repositories(run, ["o/r"], "https://h/{repository}", Waits())
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
    ],
)
def test_a_broken_answer_is_tried_again(run, fake_git, said):
    fake_git(f"cat >&2 <<'SAID'\n{said}\nSAID\nexit 128")
    waits = Waits()
    with pytest.raises(ServiceError, match="does not answer"):
        fetch_repositories(run, ["o/r"], "https://h/{repository}", waits)
    assert [seconds for seconds, _ in waits] == [4, 16]


def test_a_full_disk_is_nobody_s_refusal(run, fake_git):
    fake_git("echo 'fatal: write error: No space left on device' >&2; exit 128")
    with pytest.raises(ArtifactError, match="make room"):
        fetch_repositories(run, ["o/r"], "https://h/{repository}", Waits())


@pytest.mark.timeout(60)
def test_a_clone_without_end_is_ended_with_its_helpers(run, fake_git, monkeypatch, tmp_path):
    monkeypatch.setattr("mining.checkout._TIMEOUT_S", 2.0)
    # the helper keeps the pipe open on which git's words come
    fake_git(f"sleep 600 & echo $! > {tmp_path}/helper; wait")
    _, (dropped,) = fetch_repositories(run, ["o/r"], "https://h/{repository}", Waits())
    assert dropped.reason == "not fetched within 2 s"
    wait_for_the_end_of(int((tmp_path / "helper").read_text()))


@pytest.mark.timeout(60)
def test_an_end_in_between_ends_what_runs(run, fake_git, tmp_path):
    helper = tmp_path / "helper"
    fake_git(
        'case "$*" in\n'
        f"*o/slow*) sleep 600 & echo $! > {helper}.new; mv {helper}.new {helper}; wait;;\n"
        f"*) while ! test -e {helper}; do sleep 0.01; done; echo 'early EOF' >&2; exit 128;;\n"
        "esac"
    )

    def interrupted(seconds, why):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_repositories(run, ["o/bad", "o/slow"], "https://h/{repository}", interrupted)
    wait_for_the_end_of(int(helper.read_text()))


def wait_for_the_end_of(process_id):
    """Return once a process has ended, waited for or not; a test that hangs here has failed."""
    stat = Path(f"/proc/{process_id}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while "Z" not in stat.read_text().rpartition(")")[2].split()[0]:
            time.sleep(0.01)


@pytest.mark.parametrize("version", ["git version 2.34.1", "git version 1.8", "fortune"])
def test_an_old_git(run, fake_git, version):
    fake_git("exit 1", version)
    with pytest.raises(ServiceError, match=r"2\.35 or newer"):
        fetch_repositories(run, ["o/r"], "https://h/{repository}", Waits())


def test_no_git(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="install git"):
        fetch_repositories(run, ["o/r"], "https://h/{repository}", Waits())
    assert commit_of(tmp_path) is None


@pytest.mark.parametrize(
    "clone_url", ["https://github.com/", "http://h/{repository}", "ext::sh -c {repository}", ""]
)
def test_a_wrong_clone_url(run, clone_url):
    with pytest.raises(StudyError, match=r"corpus\.clone_url"):
        fetch_repositories(run, ["o/r"], clone_url, Waits())


# commit_of


def test_commit_of_a_folder(host, tmp_path):
    origin = host.add("ada/net", {"a.py": b"1", "sub/b.py": b"2"})
    head = git(origin, "rev-parse", "HEAD")
    assert commit_of(origin) == head
    assert commit_of(origin / "sub") is None
    assert commit_of(host.add("ada/empty", {})) is None
    assert commit_of(tmp_path / "nowhere") is None

    git(origin, "pack-refs", "--all")
    assert commit_of(origin) == head
    git(origin, "checkout", "--quiet", "--detach")
    assert commit_of(origin) == head
    git(origin, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    assert commit_of(tmp_path / "tree") == head
    (origin / ".git" / "HEAD").write_text("garbage")
    assert commit_of(origin) is None


def test_commit_of_runs_nothing(host, tmp_path):
    origin = host.add("ada/net", {"a.py": b"1"})
    ran = tmp_path / "ran"
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "alias.rev-parse"):
        git(origin, "config", key, f"!touch {ran}" if "alias" in key else f"touch {ran}")
    hook = origin / ".git/hooks/reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    assert commit_of(origin)
    assert not ran.exists()
