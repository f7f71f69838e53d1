import json
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID
from xml.etree import ElementTree

import pandas as pd
import pytest

from classify.classification import PLACEMENTS
from classify.errors import GoldError
from classify.export import Format, argilla
from classify.export.exports import export, import_labels
from classify.export.huggingface import DATA
from classify.export.snippets import OF_PLACEMENT
from classify.gold import read_gold
from classify.placement import Category
from classify.special_cases import SpecialCase
from classify.types import UnknownType
from mining.errors import ArtifactError, InputError
from mining.extraction import FILES
from tests.classify.replication.studies import CLOSED, OPEN, UNKNOWN, finished


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("run"))


QUEUE = (
    f"repository,path,start_line,sampling_stratum\n{UNKNOWN},train.py,4,b\n{OPEN},train.py,2,a\n"
)


@pytest.fixture
def queue(tmp_path):
    (tmp_path / "queue.csv").write_text(QUEUE)
    return tmp_path / "queue.csv"


def read(format, path):
    """The exported snippets of any format, as a frame."""
    match format:
        case Format.HUGGINGFACE:
            return pd.read_parquet(path / DATA)
        case Format.LABEL_STUDIO:
            return pd.DataFrame([t["data"] for t in json.loads((path / "tasks.json").read_text())])
        case Format.ARGILLA:
            records = json.loads((path / "records.json").read_text())
            return pd.DataFrame([as_row(record) for record in records])
        case Format.CSV:
            return pd.read_csv(path)
        case Format.SQLITE:
            with closing(sqlite3.connect(path)) as database:
                return pd.read_sql("SELECT * FROM snippets", database)


def as_row(record):
    """A record of Argilla as a row of the other formats."""
    address = record["fields"].get("address", "").strip("<>")
    text = record["fields"]["code"].removeprefix("```python\n")
    return {**record["metadata"], "permalink": address, "text": text}


@pytest.mark.parametrize("with_text", [False, True])
@pytest.mark.parametrize("format", Format)
def test_text_leaves_only_under_a_licence_that_allows_it(made, tmp_path, format, with_text):
    lines = export(*made, format, tmp_path / "out", with_text=with_text)
    frame = read(format, tmp_path / "out").set_index("repository")
    assert len(frame) == 11
    texts = frame["text"].fillna("").str.startswith(("def", "    def", "for"))
    allowed = {OPEN, CLOSED, UNKNOWN} if with_text else {OPEN}
    assert {name for name in (OPEN, CLOSED, UNKNOWN) if texts[name].all()} == allowed
    assert {name for name in (OPEN, CLOSED, UNKNOWN) if texts[name].any()} == allowed
    links = frame["permalink"].fillna("")
    assert links[OPEN].str.startswith("https://github.com/open/mit/blob/").all()
    assert not links[CLOSED].any()  # its commit is not known
    assert ("--with-text" in lines[0]) is not with_text


@pytest.mark.parametrize("format", Format)
def test_the_same_run_gives_the_same_bytes(made, tmp_path, format):
    found = []
    for name in ("a", "b"):
        export(*made, format, tmp_path / name)
        paths = [tmp_path / name, *sorted((tmp_path / name).rglob("*"))]
        found.append([p.read_bytes() for p in paths if p.is_file()])
    assert found[0] == found[1]
    assert found[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("format", Format)
def test_a_queue_limits_the_export_and_keeps_its_columns(made, tmp_path, queue, format):
    export(*made, format, tmp_path / "out", queue=queue)
    frame = read(format, tmp_path / "out")
    assert set(frame["qualname"]) == {"loss_of", "usage"}
    assert dict(zip(frame["qualname"], frame["sampling_stratum"], strict=True)) == {
        "usage": "b",
        "loss_of": "a",
    }


def test_placements_stand_beside_their_snippets(made, tmp_path):
    export(*made, Format.HUGGINGFACE, tmp_path / "out")
    ours = read(Format.HUGGINGFACE, tmp_path / "out")
    theirs = made[1].read(PLACEMENTS)
    assert ours[theirs.columns].equals(theirs)


def test_the_data_card_says_what_is_inside(made, tmp_path):
    export(*made, Format.HUGGINGFACE, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    assert f"    path: {DATA}\n" in header
    assert "- n<1K\n" in header
    assert "| open/mit | MIT | 5 | 5 |" in body
    assert "| closed/all-rights | NOASSERTION | 3 | 0 |" in body
    assert "| none/at-all | not known | 3 | 0 |" in body
    for column in read(Format.HUGGINGFACE, tmp_path / "out").columns:
        if column not in ("placement", "reason"):
            assert column in body


def test_tasks_are_blind_and_fit_their_interface(made, tmp_path):
    export(*made, Format.LABEL_STUDIO, tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    interface = ElementTree.parse(tmp_path / "out" / "interface.xml").getroot()
    wanted = {
        e.get("value")[1:] for e in interface.iter() if (e.get("value") or "").startswith("$")
    }
    assert wanted == {"where", "permalink", "text"}
    offered = {
        e.get("name"): [choice.get("value") for choice in e.iter("Choice")]
        for e in interface.iter("Choices")
    }
    assert offered == {
        "label": list(Category),
        "unknown_type": list(UnknownType),
        "special_cases": [*SpecialCase, "none"],
    }
    for task in tasks:
        assert set(task) == {"data"}
        assert all(task["data"][name] is not None for name in wanted)
        assert not {"placement", "judge", "loss_definition", "reason"} & set(task["data"])


TABLES = {"repositories", "files", "snippets", "placements", "asks", "votes"}


def test_the_database_leads_from_a_snippet_to_its_votes(made, tmp_path):
    export(*made, Format.SQLITE, tmp_path / "out.db")
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        names = {
            n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        }
        assert names == TABLES
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        columns = [row[1] for row in database.execute("PRAGMA table_info(files)")]
        assert "text" not in columns
        (files,) = database.execute("SELECT count(*) FROM files").fetchone()
        rows = database.execute(
            "SELECT question, decision, votes.text FROM snippets JOIN placements USING (snippet_id)"
            " JOIN asks USING (snippet_id) JOIN votes USING (prompt_sha256)"
            " WHERE qualname = 'loss_of' AND placement = 'loss_unknown' ORDER BY question"
        ).fetchall()
        licenses = dict(database.execute("SELECT repository, license FROM repositories"))
    assert files == len(made[1].read(FILES))
    assert [(q, d) for q, d, _ in rows] == [("loss_definition", 1), ("training_loop", 0)]
    assert all("Decision: " in text for _, _, text in rows)
    assert licenses == {OPEN: "MIT", CLOSED: "NOASSERTION", UNKNOWN: None}


def test_what_cannot_be_exported_is_said(made, tmp_path, queue):
    study, run = made
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    with pytest.raises(InputError, match="empty folder"):
        export(study, run, Format.HUGGINGFACE, tmp_path / "full")
    queue.write_text(QUEUE + f"{OPEN},train.py,99,a\n")
    with pytest.raises(GoldError, match=r"no open/mit train.py 99 \(1 missing\)"):
        export(study, run, Format.CSV, tmp_path / "out", queue=queue)
    placements = run.read(PLACEMENTS)
    run.write(PLACEMENTS, placements.head(3), run.sidecar(PLACEMENTS))
    with pytest.raises(ArtifactError, match="run `lossplace classify` first"):
        export(study, run, Format.CSV, tmp_path / "out")
    run.write(PLACEMENTS, placements, run.sidecar(PLACEMENTS))
    assert not (tmp_path / "out").exists()


LABEL_ROWS = f"{QUEUE}{OPEN},train.py,6,a\n{OPEN},train.py,4,a\n"
OUTPUT = "standalone_model_output_only"
FIRST = [
    {"label": "no_loss"},
    {"label": "loss_unknown", "unknown_type": OUTPUT, "special_cases": ["backward", "multiple_losses"]},
    {"label": "loss_in_runner", "note": "so, it is"},
    {},
]  # fmt: skip
SECOND = [
    {"label": "no_loss"},
    {"label": "loss_unknown", "unknown_type": OUTPUT, "special_cases": ["none"]},
    {"label": "no_loss"},
    {},
]
GOLD = [
    ("4", "no_loss", "", "", "false", "b"),
    ("2", "loss_unknown", OUTPUT, "", "false", "a"),
    ("6", "", "", "", "true", "a"),
]
ADA, BOB = (str(UUID(int=number)) for number in (1, 2))


def in_label_studio(folder):
    """The tasks of a folder as Label Studio exports them, once both readers have answered."""
    tasks = json.loads((folder / "tasks.json").read_text())
    for task, *answers in zip(tasks, FIRST, SECOND, strict=True):
        task["annotations"] = [
            {
                "completed_by": reader,
                "was_cancelled": not said,
                "result": [
                    {
                        "from_name": question,
                        "value": {"text": [value]}
                        if question == "note"
                        else {"choices": value if isinstance(value, list) else [value]},
                    }
                    for question, value in said.items()
                ],
            }
            for reader, said in zip((7, {"email": "bob@example.org"}), answers, strict=True)
        ]
    return json.dumps(tasks)


def in_argilla(folder):
    """The records of a folder as Argilla writes them, once both users have answered."""
    records = json.loads((folder / "records.json").read_text())
    for record, *answers in zip(records, FIRST, SECOND, strict=True):
        for user, said in zip((ADA, BOB), answers, strict=True):
            for question, value in said.items():
                of_question = record["responses"].setdefault(question, [])
                of_question.append({"value": value, "user_id": user})
    return json.dumps(records)


TOOLS = [
    (Format.LABEL_STUDIO, in_label_studio, "7", "bob@example.org"),
    (Format.ARGILLA, in_argilla, ADA, BOB),
]


@pytest.mark.parametrize(("format", "answered", "ada", "bob"), TOOLS)
def test_labels_come_back_as_gold(made, tmp_path, queue, format, answered, ada, bob):
    queue.write_text(LABEL_ROWS)
    export(*made, format, tmp_path / "out", queue=queue)
    exported = tmp_path / "export.json"
    exported.write_text(answered(tmp_path / "out"))
    lines = import_labels(exported, tmp_path / "gold.csv")
    assert lines[0] == "import-labels: 3 labelled snippets, 1 of them contested; 2 readers"
    assert "labels: 3 snippets read by two or more of 3" in lines
    assert "special cases of standalone losses: 1 snippets read by two or more of 3" in lines
    gold = pd.read_csv(tmp_path / "gold.csv", dtype=str, keep_default_na=False)
    columns = ["start_line", "label", "unknown_type", "special_cases", "contested"]
    assert list(gold[[*columns, "sampling_stratum"]].itertuples(index=False, name=None)) == GOLD
    assert gold[f"label_{bob}"].tolist() == ["no_loss", "loss_unknown", "no_loss"]
    assert gold["note"].tolist() == ["", "", f"{ada}: so, it is"]
    assert read_gold(tmp_path / "gold.csv").contested == 1


@pytest.mark.parametrize(("format", "answered", "ada", "bob"), TOOLS)
def test_one_reader_s_label_is_gold(made, tmp_path, queue, format, answered, ada, bob):
    queue.write_text(LABEL_ROWS)
    export(*made, format, tmp_path / "out", queue=queue)
    items = json.loads(answered(tmp_path / "out"))
    for item in items:
        item["annotations"] = item.get("annotations", [])[:1]
        item["responses"] = {q: r[:1] for q, r in item.get("responses", {}).items()}
        del item["annotations" if format is Format.ARGILLA else "responses"]
    (tmp_path / "export.json").write_text(json.dumps(items))
    lines = import_labels(tmp_path / "export.json", tmp_path / "gold.csv")
    assert lines[:-1] == ["import-labels: 3 labelled snippets, 0 of them contested; 1 readers"]
    gold = read_gold(tmp_path / "gold.csv").rows
    assert gold["label"].tolist() == [said["label"] for said in FIRST if said]
    assert gold["special_cases"].tolist() == ["", "multiple_losses;backward", ""]


def test_who_annotates_a_task_twice_is_two_readers(tmp_path):
    twice = [{"completed_by": 7, "result": result("no_loss")}] * 2
    (tmp_path / "export.json").write_text(json.dumps([{"data": DATA_OF, "annotations": twice}]))
    import_labels(tmp_path / "export.json", tmp_path / "gold.csv")
    assert {"label_7", "label_7_2"} <= set(read_gold(tmp_path / "gold.csv").rows.columns)


def test_records_are_blind_and_fit_their_settings(made, tmp_path):
    export(*made, Format.ARGILLA, tmp_path / "out")
    read_json = {p.name: json.loads(p.read_text()) for p in (tmp_path / "out").rglob("*.json")}
    settings = read_json["settings.json"]
    fields = {field["name"]: field["required"] for field in settings["fields"]}
    offered = {
        question["name"]: [option["value"] for option in question["settings"].get("options", [])]
        for question in settings["questions"]
    }
    assert offered == {
        "label": list(Category),
        "unknown_type": list(UnknownType),
        "special_cases": [*SpecialCase, "none"],
        "note": [],
    }
    assert all(category in settings["guidelines"] for category in Category)
    assert len(settings["guidelines"]) <= 10_000  # as many as Argilla takes
    for record in read_json["records.json"]:
        assert {name for name, required in fields.items() if required} <= set(record["fields"])
        assert set(record["fields"]) <= set(fields)
        assert all(record["fields"].values())
        assert record["suggestions"] == record["responses"] == {}
        assert not {"placement", "judge", "loss_definition", "reason"} & set(record["metadata"])


def test_code_cannot_leave_its_block():
    frame = pd.DataFrame(
        [{"snippet_id": "1", "repository": "o/n", "path": "a.py", "start_line": 1, "end_line": 2,
          "kind": "function", "qualname": "f", "permalink": None, "text": "def f():\n````\n# x"}]
    ).assign(**dict.fromkeys(OF_PLACEMENT))  # fmt: skip
    (record,) = json.loads(argilla.records(frame))
    assert record["fields"]["code"] == "`````python\ndef f():\n````\n# x\n`````"


class Me(BaseHTTPRequestHandler):
    """The one answer that Argilla's SDK wants of a server before it reads a file."""

    def do_GET(self):
        content = json.dumps({"id": ADA, "username": "ada", "role": "owner"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def sdk():
    """Argilla's own SDK, where it is installed, with a server that knows who asks."""
    rg = pytest.importorskip("argilla")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Me)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rg.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="none")
    yield rg
    server.shutdown()


def test_argilla_s_sdk_reads_and_writes_the_same(sdk, made, tmp_path, queue):
    from argilla._models._dataset import DatasetModel
    from argilla.records._io import JsonIO

    queue.write_text(LABEL_ROWS)
    out = tmp_path / "out"
    export(*made, Format.ARGILLA, out, queue=queue)
    settings = sdk.Settings.from_json(out / argilla.SETTINGS)
    settings.validate()
    assert [question.name for question in settings.questions] == [
        *("label", "unknown_type", "special_cases", "note")
    ]
    assert settings.questions["label"].labels == list(Category)
    assert DatasetModel(**json.loads((out / argilla.DATASET).read_text())).name
    records = JsonIO._records_from_json(out / argilla.RECORDS)
    assert [r.to_dict() for r in records] == json.loads((out / argilla.RECORDS).read_text())
    for record, *answers in zip(records, FIRST, SECOND, strict=True):
        for user, said in zip((ADA, BOB), answers, strict=True):
            for question, value in said.items():
                record.responses.add(sdk.Response(question, value, user_id=UUID(user)))
    JsonIO.to_json(records, tmp_path / "export.json")
    assert json.loads((tmp_path / "export.json").read_text()) == json.loads(in_argilla(out))


DATA_OF = {"repository": "o/n", "path": "a.py", "start_line": 1}


def result(label, **more):
    answers = {"label": label, **more}
    return [{"from_name": q, "value": {"choices": [value]}} for q, value in answers.items()]


def task(**more):
    return {"data": DATA_OF, "annotations": [{"result": result(**more)}]}


def record(question, value):
    return {"metadata": DATA_OF, "responses": {question: [{"value": value, "user_id": ADA}]}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Expecting property name"),
        ({}, "not a list"),
        ([{"data": DATA_OF}], "task 1 has no 'annotations'"),
        ([{"data": {}, "annotations": []}], "task 1 has no 'repository'"),
        ([task(label="loss")], "task 1 has the label 'loss'"),
        ([task(label="loss_unknown", unknown_type="odd")], "the unknown_type 'odd'"),
        ([task(label="loss_unknown", special_cases="odd")], "the special_cases 'odd'"),
        ([task(label="no_loss"), task(label="no_loss")], "task 2 is about the snippet of another"),
        ([3], "task 1"),
        ([record("label", "loss")], "record 1 has the label 'loss'"),
        ([record("special_cases", ["none", "backward"])], "record 1 has the special_cases"),
        ([{"responses": {}}], "record 1 has no 'metadata'"),
        ([{"metadata": DATA_OF, "responses": {"label": [{}]}}], "record 1 has no 'value'"),
        ([{"metadata": {**DATA_OF, "start_line": "x"}, "responses": {}}], "record 1: invalid"),
        (None, "No such file"),
    ],
)
def test_what_is_no_export_is_said(tmp_path, content, said):
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "export.json").write_text(text)
    with pytest.raises(GoldError, match=r"Expected an export of Label Studio or Argilla") as found:
        import_labels(tmp_path / "export.json", tmp_path / "gold.csv")
    assert said in str(found.value)
    assert not (tmp_path / "gold.csv").exists()


def test_labels_are_not_overwritten_by_their_gold(tmp_path):
    (tmp_path / "export.json").write_text("[]")
    with pytest.raises(GoldError, match="Expected another file for the gold"):
        import_labels(tmp_path / "export.json", tmp_path / "export.json")
    assert (tmp_path / "export.json").read_text() == "[]"


def test_an_export_without_labels_makes_empty_gold(tmp_path):
    (tmp_path / "export.json").write_text("[]")
    assert "0 labelled snippets" in import_labels(tmp_path / "export.json", tmp_path / "g.csv")[0]
    assert read_gold(tmp_path / "g.csv").rows.empty
