import os
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mining.clone import Wanted, commit_of, files_of_clone, make_clone, open_clone
from mining.corpus import files_of_folder
from mining.errors import ArtifactError
from mining.git import Git, Limits, RefusedError
from mining.records import Outcome
from tests.mining.git_server import GitServer, Host, git

MODEL = b"def loss(x):\n    return x  # $Id$\r\n"
LIMIT = 1000


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with GitServer(tmp_path_factory.mktemp("host")) as server:
        yield server


@pytest.fixture
def host(server):
    return Host(Path(tempfile.mkdtemp(dir=server.folder)))


@pytest.fixture
def fetch(server, host, tmp_path):
    """Fetches a repository of the test's host, or of ``owner``."""

    def fetch(name, *, owner=None, max_bytes=10**9, timeout_s=60, of=server, **wanted):
        return make_clone(
            Git(["http"]),
            of.clone_url.replace("{repository}", f"{owner or host.folder.name}/{name}"),
            tmp_path / f"{name}.git",
            Wanted(**wanted),
            Limits.from_now(max_bytes, timeout_s),
        )

    return fetch


def files(clone, notebooks=False):
    return {f.path: f for f in files_of_clone(clone.folder, LIMIT, notebooks=notebooks)}


def outcomes(clone, **more):
    return {path: file.outcome for path, file in files(clone, **more).items()}


def objects(folder):
    """The hashes of all objects in a clone."""
    said = git(folder, "cat-file", "--batch-check", "--batch-all-objects")
    return {line.split()[0] for line in said.splitlines()}


def test_another_machine_that_takes_the_old_one_away(fetch, host, monkeypatch):
    origin = host.add("net", {"a.py": MODEL})
    old = fetch("net")
    host.commit(origin, {"a.py": b"new"})
    rename = Path.rename

    def late(path, target):
        if path == old.folder:
            rename(path, path.with_name("taken"))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    assert files(fetch("net"))["a.py"].content == b"new"


def test_only_code_comes_and_every_name_is_known(fetch, host):
    origin = host.add("net", {"a.py": MODEL, "src/b.py": b"", "README.md": b"#", "n.ipynb": b"{}"})
    clone = fetch("net")
    assert clone.commit.sha1 == git(origin, "rev-parse", "HEAD")
    assert clone.commit.committed_at == datetime(2024, 1, 1, tzinfo=UTC)
    found = files(clone)
    assert {path: file.content for path, file in found.items()} == {
        "README.md": None,
        "a.py": MODEL,
        "n.ipynb": None,
        "src/b.py": b"",
    }
    for path, file in found.items():
        assert file.git_sha1 == git(origin, "rev-parse", f"HEAD:{path}")
        assert (file.git_sha1 in objects(clone.folder)) == path.endswith(".py")
    assert open_clone(clone.folder) == clone


def test_history_does_not_come(fetch, host):
    origin = host.add("net", {"a.py": b"1"})
    first = git(origin, "rev-parse", "HEAD")
    host.commit(origin, {"a.py": b"2"})
    assert first not in objects(fetch("net").folder)


def test_notebooks_come_on_request(fetch, host):
    host.add("net", {"a.py": MODEL, "n.ipynb": b"{}"})
    clone = fetch("net", notebooks=True)
    assert files(clone, notebooks=True)["n.ipynb"].content == b"{}"
    assert files(clone)["n.ipynb"].outcome is Outcome.NOT_PYTHON


def test_a_host_without_filters_gives_the_same(fetch, host, server):
    host.add("net", {"a.py": MODEL, "README.md": b"#"})
    expected = files(fetch("net"))
    with GitServer(server.folder, filters=False) as other:
        assert files(fetch("net", of=other)) == expected
        before = fetch("net", of=other, before=datetime(2024, 1, 2, tzinfo=UTC))
        assert files(before) == expected


def test_a_clone_and_a_folder_give_the_same_files(fetch, host):
    origin = host.add("net", {"a.py": MODEL, "pkg/b.py": b"1", "big.py": b"#" * 2000, "x": b"1"})

    def known(found):
        return {(f.path, f.content, f.outcome, f.reason) for f in found}

    assert known(files_of_folder(origin, LIMIT, notebooks=False)) == known(
        files(fetch("net")).values()
    )


# Which commit


@pytest.fixture(scope="module")
def history(server):
    """Two repositories: ``merged``, whose branch took in another, and ``net``, which went on.

    Returns the commits by name.
    """
    host = Host(server.folder / "history")
    folder = host.add("net", {"a.py": b"1"})
    commits = {"one": git(folder, "rev-parse", "HEAD")}
    git(folder, "checkout", "--quiet", "-b", "side")
    commits["side"] = host.commit(folder, {"side.py": b"1"}, "2024-02-01T00:00:00Z")
    git(folder, "checkout", "--quiet", "main")
    commits["two"] = host.commit(folder, {"a.py": b"2"}, "2024-01-15T00:00:00+02:00")
    git(folder, "merge", "--quiet", "--no-ff", "side", date="2024-03-01T00:00:00Z")
    commits["merge"] = git(folder, "rev-parse", "HEAD")
    git(host.folder, "clone", "--quiet", "--bare", "net.git", "merged.git")
    # by a clock that went wrong
    commits["early"] = host.commit(folder, {"a.py": b"3"}, "2023-06-01T00:00:00Z")
    commits["last"] = host.commit(folder, {"a.py": b"4"}, "2024-04-01T00:00:00Z")
    return commits


@pytest.mark.parametrize(
    ("before", "commit"),
    [
        (None, "last"),
        ("2030-01-01T00:00:00+00:00", "last"),
        ("2024-04-01T00:00:01+00:00", "last"),
        ("2024-04-01T00:00:00+00:00", "early"),
        ("2024-03-15T00:00:00+00:00", "early"),
        ("2023-07-01T00:00:00+00:00", "early"),
    ],
)
def test_the_last_commit_before_an_instant(fetch, history, before, commit):
    clone = fetch("net", owner="history", before=before and datetime.fromisoformat(before))
    assert clone.commit.sha1 == history[commit]


@pytest.mark.parametrize(
    ("before", "commit"),
    [
        ("2024-03-01T00:00:01+00:00", "merge"),
        ("2024-03-01T00:00:00+00:00", "two"),
        ("2024-02-15T00:00:00+00:00", "two"),  # side was not yet in the branch
        ("2024-01-14T22:00:01+00:00", "two"),
        ("2024-01-14T22:00:00+00:00", "one"),
        ("2024-01-01T00:00:00.5+00:00", "one"),
    ],
)
def test_it_is_a_state_of_the_branch_itself(fetch, history, before, commit):
    clone = fetch("merged", owner="history", before=datetime.fromisoformat(before))
    assert clone.commit.sha1 == history[commit]


@pytest.mark.parametrize("commits", [1, 2])
def test_no_commit_before_an_instant(fetch, host, commits):
    origin = host.add("net")
    for number in range(commits):
        host.commit(origin, {"a.py": b"%d" % number})
    with pytest.raises(RefusedError, match=r"no commit .* before 2020-01-01"):
        fetch("net", before=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_commit_by_its_hash(fetch, history):
    assert fetch("net", owner="history", commit=history["side"]).commit.sha1 == history["side"]
    with pytest.raises(RefusedError, match="not our ref"):
        fetch("net", owner="history", commit="1" * 40)


@pytest.mark.parametrize(
    ("made", "wanted", "serves"),
    [
        ({}, {}, True),
        ({}, {"notebooks": True}, False),
        ({"notebooks": True}, {}, True),
        ({}, {"before": datetime(2024, 1, 1, tzinfo=UTC)}, False),
        ({"before": datetime(2030, 1, 1, tzinfo=UTC)}, {}, False),
        ({"before": datetime(2030, 1, 1, tzinfo=UTC)}, {"commit": "last"}, True),
        ({"commit": "one"}, {}, False),
        ({"commit": "one"}, {"commit": "one"}, True),
        ({"commit": "one"}, {"commit": "last"}, False),
    ],
)
def test_a_clone_serves_what_it_holds(fetch, history, made, wanted, serves):
    made, wanted = (
        {key: history[value] if key == "commit" else value for key, value in each.items()}
        for each in (made, wanted)
    )
    assert (
        open_clone(fetch("net", owner="history", **made).folder).serves(Wanted(**wanted)) is serves
    )


# Hostile repositories


@pytest.mark.parametrize(
    "attributes",
    [
        "*.py text eol=crlf\n",
        "*.py ident\n",
        "*.py working-tree-encoding=UTF-16\n",
        "*.py filter=evil\n",
        "*.py filter=lfs diff=lfs merge=lfs -text\n",
        "*.py export-ignore\n",
    ],
)
def test_files_are_those_committed_and_no_filter_runs(fetch, host, home, tmp_path, attributes):
    ran = tmp_path / "ran"
    origin = host.add("net")
    a = host.blob(origin, MODEL)
    host.commit_tree(
        origin,
        [
            ("100644", b".gitattributes", host.blob(origin, attributes.encode())),
            ("100644", b"a.py", a),
        ],
    )
    (home / ".gitconfig").write_text(
        "[core]\n autocrlf = true\n"
        f'[filter "evil"]\n smudge = touch {ran}\n required = true\n'
        f'[filter "lfs"]\n smudge = touch {ran}\n process = touch {ran}\n required = true\n'
    )
    assert files(fetch("net"))["a.py"].content == MODEL
    assert not ran.exists()


def test_no_hook_runs(fetch, host, home, tmp_path):
    host.add("net", {"a.py": b"1"})
    ran = tmp_path / "ran"
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[init]\n templateDir = {hooks.parent}\n[core]\n hooksPath = {hooks}\n"
    )
    assert fetch("net").commit
    assert not ran.exists()


def test_how_to_reach_a_host_is_the_users_to_say(fetch, host, home, server, tmp_path, monkeypatch):
    host.add("net", {"a.py": b"1"})
    address = server.clone_url.partition("{")[0]
    (home / ".gitconfig").write_text(
        f'[url "{address}"]\n insteadOf = http://mirror.invalid/\n[fetch]\n fsckObjects = what\n'
    )
    monkeypatch.setattr(server, "clone_url", "http://mirror.invalid/{repository}.git")
    assert outcomes(fetch("net")) == {"a.py": None}


def test_links_are_not_followed_and_submodules_stay_away(fetch, host):
    origin = host.add("net")
    link = host.blob(origin, b"/etc/hostname")
    host.commit_tree(
        origin,
        [
            ("100644", b".gitmodules", host.blob(origin, b'[submodule "s"]\n url = ext::touch\n')),
            ("120000", b"link.py", link),
            ("160000", b"sub.py", "1" * 40),
        ],
    )
    clone = fetch("net")
    assert outcomes(clone) == {
        ".gitmodules": Outcome.NOT_PYTHON,
        "link.py": Outcome.LINK,
        "sub.py": Outcome.LINK,
    }
    assert link not in objects(clone.folder)


NAMES = [
    (b"a.py", "a.py", None),
    (b"A.py", "A.py", None),  # another file, also where the file system takes them for one
    (b"caf\xe9.py", "caf\\xe9.py", None),
    ("caf\u00e9.py".encode(), "caf\u00e9.py", None),
    ("cafe\u0301.py".encode(), "cafe\u0301.py", None),
    (b"new\nline.py", "new\nline.py", None),
    (b"\x1b[31mred.py", "\x1b[31mred.py", None),
    (b"con.py", "con.py", None),
    (b"--upload-pack=touch.py", "--upload-pack=touch.py", None),
    (b"x" * 300 + b".py", "x" * 300 + ".py", None),
    (b"../out.py", "../out.py", Outcome.UNREADABLE),
    (b"/etc/cron.py", "/etc/cron.py", Outcome.UNREADABLE),
    (b".git/hooks/post-checkout.py", ".git/hooks/post-checkout.py", Outcome.UNREADABLE),
    (b".GIT/config.py", ".GIT/config.py", Outcome.UNREADABLE),
    (b"sub/./a.py", "sub/./a.py", Outcome.UNREADABLE),
]


@pytest.mark.parametrize(("name", "path", "outcome"), NAMES, ids=[repr(n[0][:20]) for n in NAMES])
def test_names(fetch, host, tmp_path, name, path, outcome):
    origin = host.add("net")
    blob = host.blob(origin, MODEL)
    host.commit_tree(origin, [("100644", name, blob), ("100755", b"z.py", blob)])
    clone = fetch("net")
    assert outcomes(clone) == {path: outcome, "z.py": None}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "net.git"]


def test_one_name_twice_loses_neither_silently(fetch, host):
    origin = host.add("net")
    host.commit_tree(
        origin,
        [
            ("100644", n, host.blob(origin, b"%d" % i))
            for i, n in enumerate([b"\xe9.py", b"\\xe9.py"])
        ],
    )
    found = list(files_of_clone(fetch("net").folder, LIMIT, notebooks=False))
    assert [(f.path, f.outcome) for f in found] == [
        ("\\xe9.py", None),
        ("\\xe9.py", Outcome.UNREADABLE),
    ]


def test_a_file_that_is_no_file(fetch, host):
    origin = host.add("net")
    tree = host.tree(origin, [])
    host.commit_tree(
        origin, [("100644", b"a.py", host.blob(origin, MODEL)), ("100644", b"t.py", tree)]
    )
    assert outcomes(fetch("net")) == {"a.py": None, "t.py": Outcome.UNREADABLE}


def test_large_files_are_not_read(fetch, host):
    host.add("net", {"big.py": b"#" * (LIMIT + 1), "limit.py": b"#" * LIMIT})
    found = files(fetch("net"))
    assert (found["big.py"].outcome, found["big.py"].size_bytes) == (Outcome.TOO_LARGE, LIMIT + 1)
    assert found["limit.py"].outcome is None


def test_a_repository_over_the_size_limit(fetch, host, tmp_path):
    host.add("net", {"big.py": os.urandom(300_000)})
    with pytest.raises(RefusedError, match="larger than the limit of 200000 bytes"):
        fetch("net", max_bytes=200_000)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]
    assert 300_000 < fetch("net", max_bytes=400_000).size_bytes < 400_000


def test_many_files(fetch, host):
    origin = host.add("net")
    blobs = "".join(f"blob\nmark :{i}\ndata {len(str(i))}\n{i}\n" for i in range(1, 101))
    names = "".join(f"M 100644 :{i % 100 + 1} d{i // 1000}/f{i}.py\n" for i in range(100_000))
    commit = "commit refs/heads/main\ncommitter A <a@b.c> 1700000000 +0000\ndata 0\n"
    git(origin, "fast-import", "--quiet", stdin=(blobs + commit + names).encode())
    found = files(fetch("net"))
    assert len(found) == 100_000
    assert found["d7/f7042.py"].content == b"43"


def test_a_git_bomb_is_stopped_by_the_limits(fetch, host, tmp_path):
    """A few objects that stand for 10^10 files."""
    origin = host.add("net")
    blob = host.blob(origin, MODEL)
    entries = [("100644", b"f%d.py" % i, blob) for i in range(10)]
    for _ in range(9):
        tree = host.tree(origin, entries)
        entries = [("40000", b"d%d" % i, tree) for i in range(10)]
    host.commit_tree(origin, entries)
    with pytest.raises(RefusedError, match="list of files: larger than the limit of 1000000"):
        fetch("net", max_bytes=1_000_000)
    assert not (tmp_path / "net.git").exists()


def test_an_endless_tree_is_stopped_by_the_clock(fetch, host):
    """As the bomb, but its folders hold nothing that could be listed."""
    origin = host.add("net")
    tree = host.tree(origin, [])
    for _ in range(12):
        tree = host.tree(origin, [("40000", b"d%d" % i, tree) for i in range(10)])
    host.commit_tree(origin, [("40000", b"d", tree)])
    with pytest.raises(Exception, match="not fetched within 2 s"):
        fetch("net", timeout_s=2)


def test_deep_folders(fetch, host):
    origin = host.add("net")
    path = "d/" * 500 + "a.py"
    commit = "commit refs/heads/main\ncommitter A <a@b.c> 1700000000 +0000\ndata 0\n"
    file = f"M 100644 inline {path}\ndata {len(MODEL)}\n{MODEL.decode()}\n"
    git(origin, "fast-import", "--quiet", stdin=(commit + file).encode())
    assert [(f.path, f.content) for f in files(fetch("net")).values()] == [(path, MODEL)]


@pytest.mark.parametrize("date", ["", "A <a@b.c>", "A <a@b.c> 99999999999999999999 +0000"])
def test_a_commit_without_a_date_that_can_be_read(fetch, host, date):
    origin = host.add("net")
    tree = host.tree(origin, [])
    text = f"tree {tree}\nauthor A <a@b.c> 1 +0000\ncommitter {date}\n\nm\n"
    commit = git(
        origin, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=text.encode()
    )
    (origin / ".git/refs/heads/main").write_text(commit)
    assert fetch("net").commit == (commit, None)


def test_an_empty_repository(fetch, host):
    host.add("net")
    with pytest.raises(RefusedError, match="empty: it holds no commit"):
        fetch("net")


# What is on disk


def test_a_clone_asks_nobody(fetch, host, tmp_path):
    """A clone that somebody else made may name a host, and a command to reach it."""
    host.add("net", {"a.py": MODEL})
    clone = fetch("net")
    ran = tmp_path / "ran"
    assert "http" not in (clone.folder / "config").read_text()
    (clone.folder / "config").write_text(
        "[core]\nrepositoryformatversion = 1\nbare = true\n"
        f"sshCommand = touch {ran}\nfsmonitor = touch {ran}\n"
        '[extensions]\npartialClone = origin\n[remote "origin"]\n'
        f"url = ssh://h/x\npromisor = true\nuploadpack = touch {ran}\n"
    )
    sizes = (clone.folder / "sizes").read_text()
    (clone.folder / "listing").write_bytes(b"100644 blob " + b"1" * 40 + b"\tgone.py\0")
    (clone.folder / "sizes").write_text(sizes + "1" * 40 + " blob 3\n")
    with pytest.raises(ArtifactError, match="damaged"):
        files(clone)
    assert not ran.exists()


@pytest.mark.parametrize("note", [None, "", "{}", '{"commit": 1}', "[]"])
def test_a_folder_that_is_no_clone(tmp_path, note):
    assert open_clone(tmp_path / "nowhere") is None
    if note is not None:
        (tmp_path / "lossplace.json").write_text(note)
    with pytest.raises(ArtifactError, match="run `lossplace fetch` again"):
        open_clone(tmp_path)


def test_a_clone_is_read_wherever_it_is_and_whoever_owns_it(fetch, host, tmp_path):
    host.add("net", {"a.py": MODEL})
    clone = fetch("net")
    moved = clone.folder.rename(tmp_path / "moved")
    if os.geteuid() == 0:
        for path in [moved, *moved.rglob("*")]:
            os.chown(path, 12345, 12345)
    assert [f.content for f in files_of_clone(moved, LIMIT, notebooks=False)] == [MODEL]


# commit_of


def test_commit_of_a_folder(host, tmp_path):
    origin = host.add("net", {"a.py": b"1", "sub/b.py": b"2"})
    head = (git(origin, "rev-parse", "HEAD"), datetime(2024, 1, 1, tzinfo=UTC))
    assert commit_of(origin) == head
    assert commit_of(origin / "sub") is None
    assert commit_of(host.add("empty")) is None
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
    origin = host.add("net", {"a.py": b"1"})
    ran = tmp_path / "ran"
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "alias.cat-file"):
        git(origin, "config", key, f"!touch {ran}" if "alias" in key else f"touch {ran}")
    hook = origin / ".git/hooks/reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    assert commit_of(origin)
    assert not ran.exists()


def test_the_time_limit_ends_git(fetch, host, server):
    host.add("net", {"big.py": os.urandom(200_000)})
    with (
        GitServer(server.folder, bytes_per_s=20_000) as slow,
        pytest.raises(Exception, match="not fetched within 1 s"),
    ):
        fetch("net", of=slow, timeout_s=1)
    mine = f"{host.folder.name}/net"
    while mine in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout:
        time.sleep(0.05)
