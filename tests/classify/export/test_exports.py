import json
import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import pandas as pd
import pytest

from classify.classification import PLACEMENTS
from classify.errors import GoldError
from classify.export import Format
from classify.export.exports import export, import_labels
from classify.export.huggingface import DATA
from classify.gold import read_gold
from classify.placement import Category
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
        case Format.CSV:
            return pd.read_csv(path)
        case Format.SQLITE:
            with closing(sqlite3.connect(path)) as database:
                return pd.read_sql("SELECT * FROM snippets", database)


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
    assert [e.get("value") for e in interface.iter("Choice")] == list(Category)
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


def annotated(tasks, *readers):
    """Tasks as Label Studio exports them, with what each reader chose (None: skipped)."""
    for task, chosen in zip(tasks, zip(*readers, strict=True), strict=True):
        task["annotations"] = [
            {
                "was_cancelled": choice is None,
                "result": []
                if choice is None
                else [
                    {"from_name": "label", "type": "choices", "value": {"choices": [choice]}},
                    {"from_name": "note", "type": "textarea", "value": {"text": ["so"]}},
                ],
            }
            for choice in chosen
        ]
    return tasks


def test_labels_come_back_as_gold(made, tmp_path, queue):
    queue.write_text(QUEUE + f"{OPEN},train.py,6,a\n{OPEN},train.py,4,a\n")
    export(*made, Format.LABEL_STUDIO, tmp_path / "out", queue=queue)
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    first = ["no_loss", "loss_unknown", "loss_in_runner", None]
    second = ["no_loss", "no_loss", None, None]
    exported = tmp_path / "export.json"
    exported.write_text(json.dumps(annotated(tasks, first, second)))
    lines = import_labels(exported, tmp_path / "gold.csv")
    assert lines[0] == "import-labels: 3 labelled snippets, 1 of them contested"
    gold = read_gold(tmp_path / "gold.csv")
    assert gold.contested == 1
    assert gold.rows[["start_line", "label", "readers", "sampling_stratum"]].values.tolist() == [
        [4, "no_loss", "2", "b"],
        [6, "loss_in_runner", "1", "a"],
    ]


DATA_OF = {"repository": "o/n", "path": "a.py", "start_line": 1}
RESULT = [{"from_name": "label", "value": {"choices": ["loss"]}}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Expecting property name"),
        ("{}", "not a list"),
        (json.dumps([{"data": DATA_OF}]), "task 1 has no 'annotations'"),
        (json.dumps([{"data": {}, "annotations": []}]), "task 1 has no 'repository'"),
        (json.dumps([{"data": DATA_OF, "annotations": [{"result": RESULT}]}]), "label 'loss'"),
        ("[3]", "task 1"),
        (None, "No such file"),
    ],
)
def test_what_is_no_export_of_label_studio_is_said(tmp_path, content, said):
    if content is not None:
        (tmp_path / "export.json").write_text(content)
    with pytest.raises(GoldError, match=r"Expected an export of Label Studio") as found:
        import_labels(tmp_path / "export.json", tmp_path / "gold.csv")
    assert said in str(found.value)
    assert not (tmp_path / "gold.csv").exists()
