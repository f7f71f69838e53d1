"""No credential gets out: a whole study with marked ones, killed and taken up, and then a search
for them in all that it wrote, said, and showed of itself."""

import base64
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import zipfile
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from classify.cli import main
from classify.errors import JudgeError
from classify.judges.openai import OpenAIJudge
from mining.artifacts import Run
from mining.errors import LossplaceError, ServiceError, StudyError
from mining.github import search_all
from mining.opening import open_run
from mining.study import JudgeStudySettings, SearchSettings, Study
from tests.classify.judges.llm_server import LLMServer, Reply, completion, refusal
from tests.classify.judges.test_openai import request
from tests.mining.git_server import GitServer
from tests.mining.github_server import Fault, GitHubServer, item
from tests.opening import begin

ROOT = Path(__file__).parents[1]
MARK = "mArKeDsEcReT"
TOKEN = f"ghp_{MARK}Token"
SECRETS = {
    "GITHUB_TOKENS": f"ghp_{MARK}Stale,{TOKEN}",
    "OPENAI_API_KEY": f"sk-{MARK}Key",
    "HTTPS_PROXY": f"http://ada:{MARK}Proxy@127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": f"AKIA{MARK}",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}Aws",
    "HF_TOKEN": f"hf_{MARK}",
}
GIT_PASSWORD = f"{MARK}:Git"
GIT_CONFIG = """\
[http "http://127.0.0.1"]
    extraHeader = X-Token: {password}
[url "http://ada:{password}@127.0.0.1:{port}/"]
    insteadOf = http://127.0.0.1:{port}/
[credential]
    helper = "!echo password={password} #"
"""
CODE = "def loss_{name}(a, b, w):\n    return (a - b).abs().mean() + w * (a - b).pow(2).mean()\n"


def texts(path):
    """Give all that a file holds, unpacked."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet" and content:
        file = pq.ParquetFile(path)
        yield str(file.schema_arrow.metadata).encode() + str(file.metadata.metadata).encode()
        yield json.dumps(file.read().to_pydict(), default=str, ensure_ascii=False).encode()
    elif content.startswith(b"SQLite format 3"):
        with TemporaryDirectory() as folder:  # as who opens it folds its log into it
            for file in path.parent.glob(f"{path.name}*"):
                shutil.copy(file, folder)
            with closing(sqlite3.connect(Path(folder, path.name))) as database:
                yield "\n".join(database.iterdump()).encode()
    elif path.suffix == ".zst":
        yield zstandard.ZstdDecompressor().decompress(content)
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                member = path.parent / f".unpacked{Path(name).suffix}"
                member.write_bytes(archive.read(name))
                yield from texts(member)
                member.unlink()


def marked(content):
    """Tell whether a secret is in some bytes, plain or in base64."""
    inner = [base64.b64encode(b"\0" * n + MARK.encode())[4:-4] for n in range(3)]
    return MARK.lower().encode() in content.lower() or any(each in content for each in inner)


def leaks(folder, least=1):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= least
    return [str(path) for path in files if any(map(marked, texts(path)))]


def test_the_search_for_secrets_finds_them(tmp_path):
    """In every kind of file that a run has."""
    (tmp_path / "a.txt").write_text(f"x {MARK.upper()} y")
    basic = base64.b64encode(f"ada:{MARK}".encode())
    (tmp_path / "b.json").write_bytes(b'{"a": "Basic ' + basic + b'"}')
    pd.DataFrame({"a": ["x" * 99, MARK]}).to_parquet(tmp_path / "c.parquet", compression="zstd")
    table = pa.table({"a": [1]}).replace_schema_metadata({"a": MARK})
    pq.write_table(table, tmp_path / "d.parquet")
    (tmp_path / "e.zst").write_bytes(zstandard.compress(b"x" * 99 + MARK.encode()))
    with zipfile.ZipFile(tmp_path / "f.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "c.parquet", "c.parquet")
    with closing(sqlite3.connect(tmp_path / "g.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE a (b)")
        database.execute("INSERT INTO a VALUES (?)", (MARK,))
        database.commit()
        found = leaks(tmp_path)
    assert {Path(path).name[0] for path in found} == set("abcdefg")
    (tmp_path / "innocent").mkdir()
    (tmp_path / "innocent" / "a").write_bytes(os.urandom(999))
    assert not leaks(tmp_path / "innocent")


class Watch:
    """Looks at the command line of every process of this user while it is open."""

    def __init__(self):
        self.seen, self.marked, self._over = set(), [], threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self):
        while not self._over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:  # it ended
                    continue
                self.seen |= {b"git"} if b"git\0" in line and b"fetch" in line else set()
                if marked(line):
                    self.marked.append(line)


@pytest.fixture
def hosts(tmp_path):
    """A GitHub, a host of two repositories, and a model's server: each as forgetful as may be."""
    for name in ("one", "two"):
        folder = tmp_path / "host" / "o" / f"{name}.git"
        folder.mkdir(parents=True)
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(folder)]
        subprocess.run([*git, "init", "--quiet"], check=True)
        (folder / "losses.py").write_text(CODE.format(name=name) + CODE.format(name="b"))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", "one"], check=True)
    found = {"A B": [item("o/one"), item("o/two"), item("o/gone")]}
    with (
        GitHubServer(found, wall_clock=True) as github,
        GitServer(tmp_path / "host", bytes_per_s=20_000) as host,
        LLMServer() as llm,
    ):
        github.token = TOKEN
        host.login = f"ada:{GIT_PASSWORD}"
        llm.say = lambda body: completion(["It is one.\nDecision: True"] * body["n"])
        yield github, host, llm


def test_a_whole_study_keeps_its_secrets(hosts, tmp_path, monkeypatch, capsys):
    """Searched, fetched and judged amid faults that quote what they were sent; killed on the way."""
    github, host, llm = hosts
    port = host.server_address[1]
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    (home / ".gitconfig").write_text(GIT_CONFIG.format(password=quote(GIT_PASSWORD), port=port))
    work = tmp_path / "work"
    work.mkdir()
    (work / "s.toml").write_text(
        f"""
        [search]
        frameworks = ["A"]
        architectures = ["B"]
        base_url = "{github.base_url}"
        [corpus]
        clone_url = "{host.clone_url}"
        [judge]
        kind = "openai"
        model = "m"
        base_url = "{llm.base_url}"
        votes = 2
        concurrency = 1
        """
    )
    kept = ("PATH", "LANG", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    environment |= SECRETS | {"NO_PROXY": "127.0.0.1"}
    said = []

    def start(*arguments):
        program = [sys.executable, "-c", "from classify.cli import main; main()", *arguments]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(program, cwd=work, env=environment, **streams)

    def ended(process):
        said.append(process.communicate()[0])
        return process.returncode

    quoted = f"wrong key {SECRETS['OPENAI_API_KEY']}"
    with Watch() as watch:
        # killed in the middle of what is asked of the model
        llm.faults.extend([refusal(500, quoted)] * 2)
        process = start("run", "s.toml")
        while len(llm.asked) < 3 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        ended(process)
        assert not leaks(work, 10)
        llm.faults.extend([refusal(400, quoted), refusal(429, quoted)])
        assert ended(start("run", "s.toml")) == 0, said[-1]
    assert b"git" in watch.seen
    assert watch.marked == []
    monkeypatch.chdir(work)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = "runs/s"
    for command in (
        ["classify", run, "--retry-errors"],
        ["report", run],
        ["bundle", run, "--out", "b.zip"],
        ["export", run, "--to", "sqlite", "--out", "e.sqlite"],
    ):
        monkeypatch.setattr(sys, "argv", ["lossplace", *command])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
    said.append(repr(capsys.readouterr()).encode())
    assert llm.keys == {SECRETS["OPENAI_API_KEY"]: sum(llm.keys.values())}
    assert TOKEN in {each.token for each in github.asked}
    corpus = Run(work / run).read("corpus.parquet").set_index("repository")
    assert corpus.loc["o/gone", "reason"]
    assert corpus["commit"].notna().sum() == 2
    assert not [text for text in said if marked(text)]
    assert not leaks(work, 40)
    # nothing is left behind, and so no secret either
    assert not [path for path in temporary.rglob("*") if path.is_file()]


KEY = SECRETS["OPENAI_API_KEY"]


def traced(error):
    """Return an error with its traceback and all that led to it, as a bug would show it."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "reply",
    [
        refusal(401, f"wrong key {KEY}"),
        refusal(400, f"bad request by {KEY}"),
        Reply(200, f"your key is {KEY}"),
        completion([f"Your key is {KEY}.\nDecision: True"] * 5),
        Reply(200, json.dumps(completion([f"x{KEY}"] * 5).body).replace("M", "\\u006d")),
        Reply(200, {**completion(["x"] * 5).body, "model": KEY}),
        Reply(302, "", {"Location": f"http://127.0.0.1:1/{KEY}"}),
    ],
)
def test_what_a_models_server_repeats_is_neither_said_nor_given(reply, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with LLMServer(lambda _: reply) as server:
        settings = JudgeStudySettings(kind="openai", model="m", base_url=server.base_url)
        try:
            given = repr(list(OpenAIJudge(settings).answer([request()])))
        except JudgeError as error:
            given = traced(error)
    assert MARK not in given
    assert given


def test_a_short_key_may_be_a_word_of_an_answer(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    with LLMServer(lambda _: completion(["EMPTY\nDecision: True"] * 5)) as server:
        settings = JudgeStudySettings(kind="openai", model="m", base_url=server.base_url)
        (given,) = OpenAIJudge(settings).answer([request()])
    assert given.answers[0].text == "EMPTY\nDecision: True"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(200, json.dumps({"total_count": 0, "items": [], "you": TOKEN})),
        Fault(
            200, json.dumps({"total_count": 0, "items": [], "you": TOKEN}).replace("k", "\\u006b")
        ),
        Fault(401, f"bad token {TOKEN}"),
        Fault(302, "", {"Location": f"http://elsewhere.invalid/{TOKEN}"}),
    ],
)
def test_what_github_repeats_is_neither_said_nor_kept(fault, tmp_path):
    with GitHubServer({}) as server:
        server.faults.extend([fault] * 5)
        settings = SearchSettings(frameworks=("A",), architectures=("B",), base_url=server.base_url)
        with pytest.raises(ServiceError) as caught:
            search_all(Run(tmp_path / "r"), settings, lambda: [TOKEN], wait=lambda *_: None)
    assert MARK not in traced(caught.value)
    assert not list(tmp_path.rglob("*.zst"))


def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, SECRETS["HTTPS_PROXY"])
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elsewhere = "http://elsewhere.invalid"
    search = SearchSettings(frameworks=("A",), architectures=("B",), base_url=elsewhere)
    judge = JudgeStudySettings(kind="openai", model="m", base_url=f"{elsewhere}/v1")
    for ask in (
        lambda: search_all(Run(tmp_path), search, lambda: [TOKEN], wait=lambda *_: None),
        lambda: list(OpenAIJudge(judge).answer([request()])),
    ):
        with pytest.raises(LossplaceError) as caught:
            ask()
        assert MARK not in traced(caught.value)


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"corpus": {"clone_url": f"https://ada:{MARK}@h/{{repository}}"}}, "corpus.clone_url"),
        ({"corpus": {"clone_url": f"ssh://git:{MARK}@h/{{repository}}"}}, "corpus.clone_url"),
        ({"search": {"base_url": f"https://{MARK}@h/api/v3"}}, "search.base_url"),
        ({"search": {"base_url": f"https://ada:{MARK}@h/api/v3"}}, "search.base_url"),
        ({"judge": {"base_url": ["http://h/v1", f"http://a:{MARK}@h/v1"]}}, "judge.base_url"),
        ({"scale": {"storage": f"s3://{MARK}:{MARK}@bucket/x"}}, "scale.storage"),
        ({"judge": {"engine": {"hf_token": MARK}}}, "'hf_token'"),
        ({"judge": {"engine": {"a": {"api_key": MARK}}}}, "'api_key'"),
    ],
)
def test_a_study_with_a_credential_is_refused_before_it_is_written(sections, key, tmp_path):
    with pytest.raises(StudyError, match=re.escape(key)) as caught:
        study = Study.model_validate({"name": "s", **sections})
        begin(study, Run(tmp_path / "run"))
    assert MARK not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


def test_a_study_with_a_credential_is_opened_by_no_command(tmp_path):
    (tmp_path / "s.toml").write_text(f'[scale]\nstorage = "s3://{MARK}:{MARK}@bucket/x"\n')
    with pytest.raises(StudyError, match=r"scale\.storage without a name or password") as caught:
        open_run(tmp_path / "s.toml")
    assert MARK not in str(caught.value)


def test_a_study_may_name_the_user_of_ssh(tmp_path):
    study = Study.model_validate(
        {"name": "s", "corpus": {"clone_url": "ssh://git@h/{repository}.git"}}
    )
    begin(study, Run(tmp_path))
    assert (tmp_path / "study.json").exists()
