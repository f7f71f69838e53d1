"""What must hold of files and answers that others wrote: studies, labels, lists, replies, tables.

Each function takes bytes and raises where something does not hold; see targets.py.
"""

import csv
import io
import json
import re
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pandas as pd

from classify.errors import GoldError, JudgeError
from classify.export.exports import import_labels
from classify.gold import read_gold
from classify.judges import Answer, Completion, JudgeSettings, Request
from classify.judges.openai import OpenAIJudge
from classify.judges.replies import Reply, facts
from classify.labels import CATEGORY_KEYS, Label, Labels, read_queue
from classify.questions import Ask, Question
from classify.report.desk import label_json, label_of
from classify.store import Store
from classify.votes import reading
from mining.artifacts import Artifact, Run
from mining.commits import read_commits
from mining.errors import ArtifactError, InputError, LossplaceError, StudyError
from mining.github import search_all
from mining.loss_names import known_loss_names, loss_name_finder
from mining.pages import REPOSITORIES
from mining.records import Kind, Snippet
from mining.study import JudgeStudySettings, SearchSettings, read_study, write_study
from tests.classify.judges.llm_server import LLMServer
from tests.classify.judges.llm_server import Reply as Sent
from tests.mining.github_server import Fault, GitHubServer

REASONING = re.compile(
    r"<(think|thinking|thought|reasoning|reflection|scratchpad)>|\[THINK\]", re.I
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def answer(data: bytes) -> None:
    """Any text is read, the same way twice; what a constrained answer says at its end is read."""
    text = _text(data)
    for finish in ("stop", "length"):
        found = reading(text, finish)
        assert found == reading(text, finish)
        assert not (found.decision is not None and found.truncated)
        assert finish == "length" or not found.truncated
    assert reading(json.dumps({"reasoning": text, "decision": True})).decision is True
    assert reading(json.dumps({"reasoning": text, "decision": False}, indent=1)).decision is False
    reasons = "".join(c for c in text if c == "\n" or " " <= c <= "~")
    if reasons and not REASONING.search(reasons):  # a draft that never ends decides nothing
        assert reading(f"{reasons}\nDecision: True").decision is True
        assert reading(f"{reasons}\nDecision: False").decision is False
    for reasons in (text, f"<think>{text}"):  # whatever it drafts, it decides after its last
        assert reading(f"{reasons}\n</think>\nDecision: True").decision is True


def study(data: bytes) -> None:
    """Any file is a study that is read back as it was written, or a StudyError of one line.

    The places that it names move with it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".toml", ".json"):
            here, there = Path(folder, f"first{suffix}"), Path(folder, f"other{suffix}")
            path = here / "studies" / f"s{suffix}"
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
            try:
                found = read_study(path)
            except StudyError as error:
                assert len(str(error)) < 2000
                continue
            elsewhere = here / "run" / "study.json"
            write_study(found, elsewhere)
            again = read_study(elsewhere)
            assert again == found
            write_study(again, elsewhere)
            assert read_study(elsewhere) == again
            here.rename(there)
            moved = read_study(there / "run" / "study.json").model_dump_json()
            assert moved == found.model_dump_json().replace(f"{here}", f"{there}")


def gold(data: bytes) -> None:
    """Any file is gold, a queue and labels, or a GoldError; what a reader adds is read back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "g.csv")
        path.write_bytes(data)
        with suppress(GoldError):
            found = read_gold(path)
            assert found.contested >= 0
            assert (found.rows["start_line"] >= 1).all()
        try:
            queue = read_queue(path)
        except GoldError:
            return
        labels = Labels(Path(folder, "l.csv"), "reader", queue)
        given = {}
        for key, category in zip(queue.rows, CATEGORY_KEYS.values(), strict=False):
            given[key] = Label(category, note=key[1][:50].strip())
            labels.set(key, given[key])
        again = Labels(labels.path, "reader", queue)
        for key, label in given.items():
            assert again[key].category == label.category
            assert again[key].note.split() == label.note.split()
        written = labels.path.read_bytes().decode("utf-8") if given else ""
        for row in csv.reader(io.StringIO(written, newline="")):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
        with suppress(GoldError):
            Labels(path, "reader", queue)


def labels_import(data: bytes) -> None:
    """An export of a labelling tool becomes gold that can be read, or a GoldError."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "e.json"), Path(folder, "g.csv")
        path.write_bytes(data)
        try:
            import_labels(path, out)
        except GoldError:
            assert not out.exists()
        else:
            read_gold(out)


def desk(data: bytes) -> None:
    """What a page sends is a label, which a page understands again, or a GoldError."""
    try:
        label = label_of(json.loads(_text(data)))
    except (GoldError, ValueError, RecursionError):
        return
    shown = json.dumps(label_json(label))
    shown.encode()
    assert label_of(json.loads(shown)) == label


def commits(data: bytes) -> None:
    """Any file is a list of repositories, each once and with its hash, or an InputError."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".csv", ".parquet"):
            path = Path(folder, f"c{suffix}")
            path.write_bytes(data)
            try:
                found = read_commits(path)
            except InputError:
                continue
            assert len(found) and found["repository"].is_unique
            given = found["commit"].dropna()
            assert given.map(lambda c: re.fullmatch("[0-9a-f]{40}", c) is not None).all()


def loss_names(data: bytes) -> None:
    """Any file is a list of names, each of which is found where it stands, or an InputError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "names.csv")
        path.write_bytes(data)
        try:
            names = known_loss_names(path)
        except InputError:
            return
        assert len(set(names)) == len(names) > 0
        finds = loss_name_finder(names)
        assert all(finds(f"x = {name}(y)") for name in names)
        assert not finds("")


def sidecar(data: bytes) -> None:
    """Any sidecar is read or an ArtifactError; one that is read is written back equal."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        run.path("a.parquet").write_bytes(data)
        run.path("a.parquet.meta.json").write_bytes(data)
        with suppress(ArtifactError):
            run.is_done("a.parquet", {}, {})
        with suppress(ArtifactError):
            run.sha256("a.parquet")
        with suppress(ArtifactError):
            run.read("a.parquet")
        run.write_bytes("b", data, Artifact("x", {"text": _text(data)}, {"a": _text(data)}))
        assert run.is_done("b", {"text": _text(data)}, {"a": _text(data)})
        run.path("a.parquet.meta.json").write_bytes(run.path("b.meta.json").read_bytes())
        with suppress(ArtifactError):
            run.read("a.parquet")


@cache
def _github() -> GitHubServer:
    return GitHubServer({}).__enter__()


def search(data: bytes) -> None:
    """Whatever GitHub's API answers: a search whose numbers add up, or an error of one sentence."""
    server = _github()
    status, headers, body = 200, {}, data
    if data[:1] in _STATUS:
        status, headers, body = *_STATUS[data[:1]], data[1:]
    server.faults.clear()
    server.faults.extend([Fault(status, body.decode("latin-1"), headers)] * 5)
    settings = SearchSettings(
        frameworks=("A",), architectures=("B",), base_url=server.base_url, max_wait_s=5
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "run"))
        try:
            search_all(run, settings, lambda: [server.token], wait=lambda *_: None)
        except LossplaceError as error:
            assert len(str(error)) < 2000
            assert server.token not in str(error)
            return
        found = run.read(REPOSITORIES)
        (ledger,) = run.read("ledger.parquet").to_dict("records")
        assert ledger["unique"] >= len(found)
        assert ledger["unique"] + ledger["withheld"] + ledger["duplicates"] >= ledger["results"]
        # what is stored is enough: nobody is asked again
        search_all(run, settings, lambda: [], wait=lambda *_: None)
        pd.testing.assert_frame_equal(run.read(REPOSITORIES), found)


_STATUS = {
    b"\x01": (403, {}),
    b"\x02": (429, {"Retry-After": "1"}),
    b"\x03": (301, {"Location": "http://elsewhere.invalid/"}),
    b"\x04": (422, {}),
    b"\x05": (500, {}),
    b"\x06": (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999999999999"}),
    b"\x07": (200, {"Content-Encoding": "gzip"}),
    b"\x08": (204, {}),
}


def reply(data: bytes) -> None:
    """A server's reply is a completion whose tokens add up, or a ValueError; a list of models, any."""
    facts(data, "tiny", None)
    try:
        found = Reply.parse(data, _text(data))
    except ValueError:
        return
    for each in found.answers:
        each.text.encode("utf-8")
        reading(each.text, each.finish_reason)
    counted = found.usage and found.usage.completion_tokens
    assert sum(each.output_tokens for each in found.answers) == (counted or 0)


@cache
def _llm() -> LLMServer:
    return LLMServer().__enter__()


def server(data: bytes) -> None:
    """Whatever a model's server answers: each request ends once, and what it gave can be stored."""
    llm = _llm()
    body = data.decode("latin-1")
    sent = Sent(*((int(data[:3]), body[3:]) if data[:3] in _STATUSES else (200, body)))
    llm.models = llm.say = None
    llm.models, llm.say = sent, lambda _: sent
    study = JudgeStudySettings(kind="openai", model="tiny", base_url=llm.base_url, votes=2)
    judge = OpenAIJudge(study)
    asked = [_request(name) for name in ("one", "two")]
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder, "v.sqlite")) as store:
        completions = []
        with suppress(JudgeError):
            for completion in judge.answer(asked):
                completions.append(completion)
                if completion.error is None:
                    store.add(completion, judge.settings)
                    kept = store.votes(completion.request.prompt_sha256, judge.settings)
                    assert [v.text for v in kept] == [a.text for a in completion.answers]
                else:
                    store.fail(completion, judge.settings)
        ended = [completion.request for completion in completions]
        assert len(ended) == len(set(map(id, ended))) <= 2


_STATUSES = {b"400", b"401", b"404", b"422"}
"""Those that are final at once, as waiting for a server costs seconds."""


def _request(name: str) -> Request:
    snippet = Snippet("o/n", None, "a.py", 1, 1, Kind.FUNCTION, name, None, f"# {name}")
    return Request(Ask(Question.LOSS_RELATED, snippet), (("user", name),), 0, 2)


def votes(data: bytes) -> None:
    """Any text comes back from the store as it was answered, and from the store opened again."""
    text = _text(data)
    judge = JudgeSettings("openai", {"model": text}, text)
    request = _request("one")
    answers = tuple(Answer(part, "stop", 1) for part in (text, text[::-1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.sqlite")
        with Store(path) as store:
            store.fail(Completion(request, error=text), judge)
            assert store.reasons(judge) == {request.prompt_sha256: text}
            store.add(Completion(request, answers, provenance={"engine": text}), judge)
            assert not store.failures(judge)
        with Store(path) as store:
            kept = store.votes(request.prompt_sha256, judge)
            assert [vote.text for vote in kept] == [each.text for each in answers]
            assert [each.text for each in store.judges()] == [judge.text]
            (cost,) = store.costs(judge)
            assert (cost.votes, cost.output_tokens) == (2, 2)
