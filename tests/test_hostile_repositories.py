"""Repositories that attack whoever mines them: as folders, through git, and in every output.

Whatever a repository holds, each file has one outcome, nothing outside of it is read, nothing
blocks, and its names and code steer no terminal, spreadsheet, browser, or typesetter.
"""

import csv
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from classify.gold import read_gold
from classify.judges.rules import rule
from classify.questions import Question
from mining.artifacts import Run
from mining.clone import commit_of
from mining.code import RepositoryCode
from mining.corpus import files_of_folder, local_repositories, read_file
from mining.decode import decode
from mining.extract import extract, parse
from mining.extraction import FILES, SNIPPETS
from mining.records import Outcome
from tests.faults import call

LIMIT = 2_000_000
SECRET = "the secret of /etc"


def outcomes(folder):
    found = files_of_folder(folder, LIMIT, notebooks=False)
    files = [read_file("o/n", None, each) for each in found]
    assert len({file.path for file in files}) == len(files) or any(
        file.reason == "another file has its name" for file in files
    )
    return {file.path: file for file in files}


def is_root():
    return os.geteuid() == 0


# --- what is no file ------------------------------------------------------------------------------


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is at most 108 bytes
        listening.bind(path.name)
        os.chdir(before)


SPECIAL = {
    "pipe.py": (os.mkfifo, Outcome.UNREADABLE),
    "socket.py": (make_socket, Outcome.UNREADABLE),
    "zero.py": (lambda path: path.symlink_to("/dev/zero"), Outcome.LINK),
    "passwd.py": (lambda path: path.symlink_to("/etc/passwd"), Outcome.LINK),
    "up.py": (lambda path: path.symlink_to("../../secret.py"), Outcome.LINK),
    "itself.py": (lambda path: path.symlink_to("itself.py"), Outcome.LINK),
    "loop": (lambda path: path.symlink_to("."), Outcome.LINK),
    "folder.py": (lambda path: path.symlink_to("/etc"), Outcome.LINK),
    ".git": (lambda path: path.write_text("gitdir: /etc\n"), Outcome.NOT_PYTHON),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_no_file_is_neither_read_nor_waited_for(tmp_path, name):
    (tmp_path / "secret.py").write_text(SECRET)
    folder = tmp_path / "o__n"
    folder.mkdir()
    make, outcome = SPECIAL[name]
    make(folder / name)
    (file,) = outcomes(folder).values()
    assert (file.path, file.outcome, file.text) == (name, outcome, None)


@pytest.mark.skipif(not is_root(), reason="only root makes devices")
def test_a_device_is_not_read(tmp_path):
    try:
        os.mknod(tmp_path / "zero.py", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    (file,) = outcomes(tmp_path).values()
    assert (file.outcome, file.reason) == (Outcome.UNREADABLE, "not a regular file")


# --- folders and names ----------------------------------------------------------------------------


def test_folders_nested_deeper_than_python_calls_and_than_the_system_opens(tmp_path):
    folder = tmp_path / "o__n"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(1100):
            Path("dddd").mkdir()
            os.chdir("dddd")
    finally:
        os.chdir(before)
    (folder / "a.py").write_text("x = 1\n")
    try:
        found = outcomes(folder)
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert found.pop("a.py").outcome is Outcome.EXTRACTED
    ((path, file),) = found.items()  # where the path gets longer than any can be
    assert len(path) > 3000
    assert (file.outcome, file.reason) == (Outcome.UNREADABLE, "File name too long")


def test_names_that_only_bytes_tell_apart_are_both_counted(tmp_path):
    for name in (b"\xff.py", b"\\xff.py"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x = 1\n")
    found = list(files_of_folder(tmp_path, LIMIT, notebooks=False))
    assert sorted((each.path, each.reason) for each in found if each.content is None) == [
        ("\\xff.py", "another file has its name")
    ]
    assert len(found) == 2


def test_repositories_that_only_bytes_tell_apart_are_both_counted(tmp_path):
    for name in (b"o__\xff", b"o__\\xff", b"o__n"):
        (tmp_path / os.fsdecode(name)).mkdir()
    found, beside = local_repositories(tmp_path)
    assert list(found) == ["o/\\xff", "o/n"]
    assert [(each.subject, each.reason) for each in beside] == [
        ("o__\\xff", "another folder has its name")
    ]


TWINS = ["a.py", "A.py", "\u00e9.py", "e\u0301.py", "CON.py", "aux.py", "x" * 252 + ".py", "-rf.py"]


def test_names_that_other_systems_confuse_stay_apart(tmp_path):
    for name in TWINS:
        (tmp_path / name).write_text(f"def f():\n    return {name!r}\n")
    if len(list(tmp_path.iterdir())) < len(TWINS):
        pytest.skip("this file system confuses them itself")
    assert outcomes(tmp_path).keys() == set(TWINS)


# --- git ------------------------------------------------------------------------------------------

GIT_TRAPS = {
    "a pipe as HEAD": lambda git: ((git / "HEAD").unlink(), os.mkfifo(git / "HEAD")),
    "a pipe as config": lambda git: ((git / "config").unlink(), os.mkfifo(git / "config")),
    "endless config": lambda git: (
        (git / "config").unlink(),
        (git / "config").symlink_to("/dev/zero"),
    ),
    "a pipe as packed-refs": lambda git: os.mkfifo(git / "packed-refs"),
    "endless alternates": lambda git: (git / "objects/info/alternates").symlink_to("/dev/zero"),
    "programs": lambda git: (git / "config").write_text(
        "[core]\n\tfsmonitor = touch pwned\n\tsshCommand = touch pwned\n\tpager = touch pwned\n"
        "\thooksPath = hooks\n[extensions]\n\tpartialClone = origin\n"
        '[remote "origin"]\n\turl = ext::touch pwned\n\tpromisor = true\n'
        "[uploadpack]\n\tpackObjectsHook = touch pwned\n"
    ),
    "a work tree elsewhere": lambda git: (git / "config").write_text(
        "[core]\n\tworktree = /etc\n\tbare = false\n"
    ),
}


@pytest.mark.parametrize("trap", GIT_TRAPS)
def test_a_local_repositorys_own_git_folder_runs_and_holds_up_nothing(tmp_path, trap, monkeypatch):
    monkeypatch.setattr("mining.clone.PATIENCE_S", 1.0)
    folder = tmp_path / "o__n"
    folder.mkdir()
    for command in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "c"]):
        who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, "-C", str(folder), *command], check=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (folder / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
        (folder / ".git/hooks" / hook).chmod(0o755)
    GIT_TRAPS[trap](folder / ".git")
    ended = threading.Event()
    threading.Thread(target=lambda: (commit_of(folder), ended.set()), daemon=True).start()
    assert ended.wait(60), "git waits for ever"
    assert not list(tmp_path.rglob("pwned"))


# --- code -----------------------------------------------------------------------------------------


def body(expression):
    return (
        "import torch.nn.functional as F\ndef loss(a, b, optimizer):\n"
        f"    value = F.l1_loss(a, b)\n    value = {expression}\n    value.backward()\n"
        "    return value\n"
    )


def nested(line, depth):
    return "".join(" " * i + line.format(i) for i in range(depth)) + " " * depth + "pass\n"


DEEP = 10_000
CODE = {
    "brackets": body("(" * DEEP + "value" + ")" * DEEP),
    "lists": body("[" * DEEP + "value" + "]" * DEEP),
    "attributes": body("value" + ".b" * DEEP),
    "calls": body("value" + "()" * 2000),
    "calls in calls": body("F.mse_loss(" * 2000 + "value" + ")" * 2000),
    "sums": body("value" + " + value" * DEEP),
    "sums to the right": body("value + (" * DEEP + "value" + ")" * DEEP),
    "signs": body("-" * DEEP + "value"),
    "lambdas": body("lambda: " * DEEP + "value"),
    "conditions": body("value if a else " * DEEP + "value"),
    "comparisons": body("value" + " < value" * DEEP),
    "formatted strings": body("f'{" * DEEP + "value" + "}'" * DEEP),
    "subscripts": body("a[" * DEEP + "value" + "]" * DEEP),
    "comprehensions": body("[" * DEEP + "value" + " for a in b]" * DEEP),
    "assignments": body("value = " * DEEP + "F.l1_loss(a, b)"),
    "open brackets": body("(" * DEEP),
    "blocks": nested("if a{}:\n", 2000),
    "functions": nested("def loss{}(a):\n", 120),
    "classes": nested("class Loss{}(object):\n", 120),
    "loops": nested("for a{} in b:\n", 2000),
    "branches": body("1") + "    if a:\n        pass\n" + "    elif value:\n        b = 1\n" * 500,
    "decorators": "@loss\n" * DEEP + "def loss(): return 1\n",
    "bases": "class Loss(a" + ".b" * DEEP + "): pass\n",
    "imports": "import a" + ".b" * DEEP + "\n",
    "choices": body("a")
    + "    if a: value = F.l1_loss(a, b)\n    else: value = F.mse_loss(a, b)\n" * 300,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CODE)
def test_code_of_any_depth_is_read_and_judged(name):
    code = RepositoryCode("o/n", None, {"a.py": CODE[name]})
    found = code.extractions["a.py"].snippets
    for snippet in [*found[:1], *found[-1:]]:
        for question in Question:
            assert rule(question, snippet, code).reason


def each(count, line):
    return "".join(line.format(i=i, next=i + 1) for i in range(count))


GRAPH = "import tensorflow as tf\n"
GROWING = {
    "calls of each other": lambda n: each(n, "def loss{i}(x):\n    return loss{next}(x)\n"),
    "a sum of calls": lambda n: (
        each(n, "def f{i}(x): return x\n")
        + "def loss(x):\n    l0 = 0\n"
        + each(n, "    l{next} = l{i} + f{i}(x)\n")
    ),
    "arguments in arguments": lambda n: body("a.add_(" * n * 10 + "b" + ")" * n * 10),
    "products of products": lambda n: (
        "class A:\n    def __init__(self):\n        self.w = np.zeros(3)\n"
        "    def f(self, x):\n        return x" + ".dot(self.v)" * n * 5 + "\n"
    ),
    "bases of bases": lambda n: (
        "class C0: pass\n" + each(n, "class C{next}(C{i}):\n    def loss(self): return self.f()\n")
    ),
    "a base of many methods": lambda n: (
        "class B(nn.Module):\n"
        + each(n, "    def f{i}(self, x): return x + x\n")
        + each(n, "class C{i}(B):\n    def g(self): return 1\n")
    ),
    "methods of one name": lambda n: each(
        n, "class C{i}:\n    def f(self, x):\n        for b in x: b.f(x)\n"
    ),
    "abstract methods": lambda n: (
        "class B:\n    def f(self): pass\n"
        + each(n, "class C{i}(B):\n    def f(self): pass\n    def g(self): self.f()\n")
    ),
    "imports": lambda n: each(n, "import m{i}\n") + each(n, "def f{i}(x): return m{i}.loss(x)\n"),
    "imports in functions": lambda n: (
        "def f(x):\n" + each(n, "    import m{i} as q{i}\n    loss = q{i}.g(x)\n")
    ),
    "what a session fetches": lambda n: (
        "def f(sess):\n" + each(n, "    a{i}, b = g()\n    sess.run(a{i})\n")
    ),
    "weights of weights": lambda n: (
        "import torch.nn.functional as F\ndef f(x, y):\n    w0 = x * y\n"
        + each(n, "    w{next} = w{i} * y\n    loss = F.mse_loss(p, y, w{next})\n")
    ),
}


def steps(files):
    """Count the calls of functions that it takes to rule on every snippet of a repository."""
    code = RepositoryCode("o/n", None, files)
    count = 0

    def called(_, event, __):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        for extraction in code.extractions.values():
            for snippet in extraction.snippets:
                for question in Question:
                    rule(question, snippet, code)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("name", GROWING)
def test_twice_the_code_takes_the_rules_twice_the_steps(name):
    one, two = (steps({"a.py": GROWING[name](count)}) for count in (150, 300))
    assert one > 150
    assert two < 2.6 * one


def test_modules_that_import_all_of_each_other_are_not_entered_in_every_order():
    def files(count):
        stars = each(count, "from m{i} import *\n")
        return {f"m{i}.py": stars + "def loss(x): return g(x)\n" for i in range(count)}

    assert steps(files(16)) < 20 * steps(files(8))


LONG = 60_000
SLOW = {
    "comments in a block": "if a:\n    b\n" + "    # c\n" * LONG + "    d\n",
    "comments after a block": "if a:\n    b\n" + "# c\n" * LONG + "d\n",
    "continued lines": "a = 1" + "\\\n" * LONG + "+ 1\n",
    "continued lines after an error": ":\\\n" * LONG,
    "an error of open brackets": "(" * LONG * 10,
    "imports of everything": "from a import *\n" * 10_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SLOW)
def test_what_took_the_square_of_its_length_is_read_in_time(name):
    text = "def first():\n    return 1\n" + SLOW[name] + "\ndef last():\n    return 2\n"
    assert extract("o/n", None, "a.py", text).snippets[0].qualname == "first"


def test_comments_between_statements_change_nothing():
    text = "def f():\n    a\n" + "    # c\n" * 20_000 + "    b\n\ndef g():\n    return 1\n"
    found = extract("o/n", None, "a.py", text)
    assert [(s.qualname, s.start_line, s.end_line) for s in found.snippets] == [
        ("f", 1, 20_003),
        ("g", 20_005, 20_006),
    ]
    assert found.snippets[0].text == text[: text.index("\n\ndef g")]
    assert not found.broken


def test_no_snippets_are_made_of_what_python_nests_no_deeper():
    found = extract("o/n", None, "a.py", nested("def f{}():\n", 300))
    assert (len(found.snippets), found.broken) == (100, True)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_syntax_tree_is_the_same_without_what_the_parser_looks_ahead_over(depth, monkeypatch):
    code = "class A:\n    # c\n    def f(self):\n        # c\n        return 1\n    # c\n" * depth
    whole = str(parse(code.encode()).root_node).replace(" (comment)", "").replace("(comment) ", "")
    monkeypatch.setattr("mining.extract._MANY", 0)
    monkeypatch.setattr("mining.extract._READ_AGAIN", -(10**9))
    assert str(parse(code.encode()).root_node) == whole


def codecs():
    import encodings
    import pkgutil

    return sorted(module.name for module in pkgutil.iter_modules(encodings.__path__))


HOSTILE_BYTES = [
    b"x-" + b"zz9" * 60_000,
    bytes(range(256)),
    b"\\ud800 \\x00 \\N{BELL}",
    b"+2AA-",
    b"\xff\xfe\x00\xd8",
    b"\xef\xbb\xbfx = 1\r\r\n",
]


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of unicode_escape, about the content
@pytest.mark.parametrize("codec", codecs())
def test_every_declared_encoding_gives_text_or_none(codec):
    for content in HOSTILE_BYTES:
        decoded = decode(f"# -*- coding: {codec} -*-\n".encode() + content)
        if decoded is not None:
            assert not re.search("[\0\r\ud800-\udfff]", decoded.text)


# --- outputs --------------------------------------------------------------------------------------

NAMES = [
    "=cmd|' !C calc'!A0",
    "+1+cmd",
    "-rf",
    "@SUM(A1)",
    "\tTab",
    "\x1b[31mred\x1b[2J\x07",
    "\u202egnp.exe\u2066",
    "line\nlossplace: all is well\r",
    "<img src=x onerror=alert(1)>",
    "'\"; DROP TABLE votes; --",
    "$(touch pwned) `touch pwned` ;touch pwned",
    "\\input{passwd}\\write18{x} %&#_^~$",
    "[link](javascript:alert(1)) **b** |",
    "{{7*7}} ${7*7} %s {0} [red]markup[!red]",
    os.fsdecode(b"bytes\xff\xfe"),
    "a,b;c",
    "'=quoted",
    "x" * 200,
]
LOSS = "def loss(a, b, w):\n    return (a - b).abs().mean() + w * (a - b).pow(2).mean()\n"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A folder with the run of a corpus of such names, and what each command printed."""
    folder = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(NAMES):
        place = folder / "corpus" / f"{name}__{number}" / name
        place.mkdir(parents=True)
        (place / f"{name}.py").write_text(LOSS)
        (place / f"{name}.txt").write_text("no code")
    (folder / "corpus" / "\x1b[31mno repository").write_text("")
    printed = {}
    for command in (
        ("run", "--local", "corpus", "--run-dir", "run"),
        ("status", "run"),
        ("report", "run"),
        ("types", "run"),
        ("loss-names", "run", "--out", "names.csv"),
        ("sample", "run", "--design", "random", "--out", "queue.csv"),
        ("label", "queue.csv", "--reader", "ann", "--run", "run"),
        ("export", "run", "--to", "csv", "--out", "out.csv", "--with-text"),
        ("export", "run", "--to", "sqlite", "--out", "out.sqlite"),
        ("export", "run", "--to", "huggingface", "--out", "hf"),
        ("export", "run", "--to", "label-studio", "--out", "ls"),
        ("export", "run", "--to", "argilla", "--out", "argilla"),
        ("bundle", "run", "--out", "bundle"),
        ("verify", "bundle"),
    ):
        printed[" ".join(command)] = call(folder, *command)
    gold = (folder / "queue.csv").read_text().splitlines(keepends=True)
    return folder, printed, gold


def test_every_command_reads_hostile_names(hostile):
    _, printed, _ = hostile
    assert {name: end.err for name, end in printed.items() if end.status} == {}


def test_nothing_steers_the_terminal(hostile):
    _, printed, _ = hostile
    for command, ended in printed.items():
        for text in (ended.out, ended.err):
            assert not [c for c in text if c != "\n" and not c.isprintable()], command
            assert "\nlossplace: all is well" not in text


def test_every_file_has_one_outcome(hostile):
    folder, _, _ = hostile
    files = Run(folder / "run").read(FILES, ["repository", "path", "outcome"])
    assert len(files) == 2 * len(NAMES)
    assert sorted(files["outcome"].unique()) == ["extracted", "not_python"]
    assert len(Run(folder / "run").read(SNIPPETS, ["path"])) == len(NAMES)


def tables(folder):
    names = [*folder.glob("*.csv"), *folder.glob("run/**/*.csv"), *folder.glob("bundle/**/*.csv")]
    assert len(names) > 10
    return names


def test_no_cell_of_any_csv_is_a_formula(hostile):
    folder, _, _ = hostile
    for path in tables(folder):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [c for c in cells if re.match(r"[=+@\t\r]|-(?![\d.]+(e[-+]?\d+)?$)", c)] == [], path


def test_labels_of_hostile_names_come_back_as_they_were(hostile, tmp_path):
    folder, _, _ = hostile
    placements = Run(folder / "run").read("placements.parquet", ["repository", "path"])
    queue = folder / "queue.csv"
    with queue.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labelled = tmp_path / "gold.csv"
    with labelled.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "label"])
        writer.writeheader()
        writer.writerows({**row, "label": "loss_unknown"} for row in rows)
    gold = read_gold(labelled).rows
    assert set(placements["path"]) == set(gold["path"])
    ended = call(folder, "evaluate", "run", "--gold", labelled, "--json")
    assert ended.status == 0, ended.err


def test_tables_escape_what_markdown_and_latex_would_run(hostile):
    folder, _, _ = hostile
    markdown = [*folder.glob("run/paper/*.md"), folder / "hf/README.md"]
    assert any("onerror" in path.read_text() for path in markdown)
    for path in markdown:
        text = path.read_text()
        text = text.partition("\n---\n")[2] if text.startswith("---") else text
        assert not re.search(r"(?<!\\)<img|(?<!\\)\[link\]|[^\n -\U0010ffff]", text), path
    for path in folder.glob("run/paper/*.tex"):
        assert not re.search(r"\\(input|write18)", path.read_text()), path


def test_the_report_holds_names_as_data_only(hostile):
    folder, _, _ = hostile
    report = folder / "run/report"
    assert "onerror=alert" not in (report / "index.html").read_text()
    shards = list((report / "data").glob("*.js"))
    assert len(shards) > 3
    for path in shards:  # all that a repository holds is packed, so that no browser reads it
        assert re.fullmatch(rb'lossplace\.receive\("[\w-]+","[\w+/=]*"\);\n', path.read_bytes())


def test_a_database_holds_names_as_they_are(hostile):
    folder, _, _ = hostile
    with sqlite3.connect(folder / "out.sqlite") as database:
        paths = {path for (path,) in database.execute("SELECT path FROM snippets")}
        (votes,) = database.execute("SELECT count(*) FROM votes").fetchone()
    assert any(path.startswith("'\"; DROP TABLE votes; --/") for path in paths)
    assert votes > 0


def test_tasks_of_labelling_tools_are_json(hostile):
    folder, _, _ = hostile
    tasks = json.loads((folder / "ls/tasks.json").read_text())
    assert len(tasks) == len(NAMES)
    assert len(json.loads((folder / "argilla/records.json").read_text())) == len(NAMES)


def test_nothing_was_run(hostile):
    folder, _, _ = hostile
    assert not list(folder.rglob("pwned"))
