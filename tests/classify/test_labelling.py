import csv
import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.gold import read_gold
from classify.labelling import harmless, permalink
from classify.labels import (
    CASE_KEYS,
    CATEGORY_KEYS,
    TYPE_KEYS,
    Label,
    Labels,
    Session,
    read_queue,
)
from classify.metrics import CATEGORIES
from classify.pipeline import paper
from classify.placement import Category
from classify.special_cases import SpecialCase
from classify.types import UnknownType
from mining.opening import open_run
from mining.records import Kind, Snippet
from tests.opening import classified

CODE = """\
import torch.nn as nn


def loss(a, b):
    return (a - b).pow(2).mean()


class Base(nn.Module):
    def build(self):
        self.layer = nn.Linear(2, 2)


class Net(Base):
    def forward(self, x):
        return self.layer(x)

    def penalty(self, x):
        return x.pow(2).mean() + x.abs().mean()
"""
EVIL = "def evil(a, b):\n\treturn '\x1b]0;red\x07\u202eabc' + a - b\n"
PLAIN = "".join(f"\n\ndef name_{n}(rows):\n    return rows[{n}]\n" for n in range(8))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run over 13 snippets in two repositories."""
    folder = tmp_path_factory.mktemp("finished")
    for name, text in (("o__a", CODE), ("o__b", EVIL + PLAIN)):
        place = folder / "corpus" / name / "losses.py"
        place.parent.mkdir(parents=True)
        place.write_text(text, "utf-8")
    classified(*open_run(None, folder / "run", folder / "corpus"))
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run, to be worked on."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def queue(run, tmp_path):
    """A queue of all functions of o/a, in order."""
    path = tmp_path / "q.csv"
    path.write_text(
        "repository,path,start_line,sampling_stratum,stratum_size,stratum_sampled\n"
        + "".join(f"o/a,losses.py,{line},s01,5,4\n" for line in (4, 9, 14, 17))
    )
    return path


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels(path):
    return [
        tuple(
            row[name] for name in ("start_line", "label", "unknown_type", "note", "special_cases")
        )
        for row in rows(path)
    ]


SESSIONS = [
    ("one of each", ["n", "m", "r", "b"], ["no_loss", "loss_in_model", "loss_in_runner", "loss_in_model_runner"]),
    ("a type", ["u", "h"], ["loss_unknown/hook"]),
    ("no special case", ["u", "o", "."], ["loss_unknown/standalone_model_output_only/none"]),
    ("two special cases", ["u", "m", "b", "m", "."], ["loss_unknown/standalone_model_dependency/multiple_losses;backward"]),
    ("one taken back", ["u", "o", "b", "m", "b", "."], ["loss_unknown/standalone_model_output_only/multiple_losses"]),
    ("a wrong key, then done", ["u", "o", "%", "."], ["loss_unknown/standalone_model_output_only/none"]),
    ("back from the special cases", ["u", "o", "b", "z", "h"], ["loss_unknown/hook"]),
    ("the end in the midst of special cases", ["n", "u", "o", "b"], ["no_loss"]),
    ("quit in the midst of special cases", ["n", "u", "o", "q", "."], ["no_loss"]),
    ("another label has no special cases", ["u", "o", "b", ".", "z", "n"], ["no_loss"]),
    ("a wrong key, then the type", ["u", "%", "x"], ["loss_unknown/other"]),
    ("back from the types", ["u", "z", "n"], ["no_loss"]),
    ("wrong keys say the right ones", ["%", "", "\x1b[A", "n"], ["no_loss"]),
    ("quit at once", ["q", "n"], []),
    ("the end of the input", ["n"], ["no_loss"]),
    ("the end in the midst of a type", ["n", "u"], ["no_loss"]),
    ("quit in the midst of a type", ["n", "u", "q", "o"], ["no_loss"]),
    ("undo", ["n", "z", "m"], ["loss_in_model"]),
    ("undo twice", ["n", "m", "z", "z", "b", "r"], ["loss_in_model_runner", "loss_in_runner"]),
    ("nothing to undo", ["z", "n"], ["no_loss"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "expected"), [s[1:] for s in SESSIONS], ids=[s[0] for s in SESSIONS]
)
def test_keys_make_labels(lossplace, run, queue, keys, expected):
    status, out, err = lossplace("label", queue, "--run", run, "--reader", "ada", keys=keys)
    assert (status, err) == (0, "")
    path = queue.with_name("q.ada.csv")
    found = labels(path) if path.exists() else []
    assert ["/".join(filter(None, (*row[1:3], row[4]))) for row in found] == expected
    assert "labels are in" in out


def test_a_skipped_snippet_comes_at_the_end(lossplace, run, queue):
    lossplace("label", queue, "--run", run, "--reader", "ada", keys=["s", "n", "n", "n", "m"])
    found = {row[0]: row[1] for row in labels(queue.with_name("q.ada.csv"))}
    assert found == {"4": "loss_in_model", "9": "no_loss", "14": "no_loss", "17": "no_loss"}


def test_a_session_is_gone_on_with(lossplace, run, queue):
    arguments = ("label", queue, "--run", run, "--reader", "ada")
    lossplace(*arguments, keys=["t", "why, though", "n", "t", "half read"])
    path = queue.with_name("q.ada.csv")
    assert labels(path) == [("4", "no_loss", "", "why, though", ""), ("9", "", "", "half read", "")]
    _, out, _ = lossplace(*arguments, keys=["m"])
    assert "1 of 4 labelled" in out
    assert "note: half read" in out
    assert labels(path)[1] == ("9", "loss_in_model", "", "half read", "")
    lossplace(*arguments, keys=["z", "z", "r"])  # what an earlier session said can be undone
    assert [row[:4] for row in labels(path)] == [
        ("4", "loss_in_runner", "", "why, though"),
        ("9", "", "", "half read"),
    ]
    _, out, _ = lossplace(*arguments, keys=["n", "n", "n"])
    assert "all 4 snippets are labelled" in out


def test_every_label_is_on_disk_before_the_next_is_asked_for(lossplace, run, queue):
    from classify.labelling import label_queue
    from mining.artifacts import Run

    path = queue.with_name("q.ada.csv")
    seen = []

    def killed(_):
        seen.append(len(labels(path)) if path.exists() else 0)
        if len(seen) == 3:
            raise SystemError("killed")
        return "n"

    with pytest.raises(SystemError):
        label_queue(Run(run), queue, "ada", ask=killed)
    assert seen == [0, 1, 2]
    assert len(labels(path)) == 2


def test_labels_are_a_gold_file_with_the_queue_s_columns(lossplace, run, queue):
    lossplace(
        "label",
        queue,
        "--run",
        run,
        "--reader",
        "ada",
        keys=["u", "o", ".", "n", "t", "odd", "n", "m"],
    )
    path = queue.with_name("q.ada.csv")
    gold = read_gold(path)
    assert gold.rows["label"].tolist() == ["loss_unknown", "no_loss", "no_loss", "loss_in_model"]
    assert list(gold.rows.columns) == [
        "repository",
        "path",
        "start_line",
        "sampling_stratum",
        "stratum_size",
        "stratum_sampled",
        "label",
        "unknown_type",
        "special_cases",
        "note",
        "reader",
    ]
    assert set(gold.rows["reader"]) == {"ada"}
    status, out, _ = lossplace("evaluate", run, "--gold", path, "--json")
    assert (status, json.loads(out)["samples"]["all"]["n"]) == (0, 4)


def test_what_a_reader_sees(lossplace, run, queue):
    _, out, _ = lossplace("label", queue, "--run", run, "--reader", "ada", keys=["n", "n", "n"])
    last = out[out.index("3 of 4 labelled") :]
    assert "o/a  losses.py:17-18\nmethod Net.penalty\n" in last
    assert (
        "class Net(Base [losses.py::Base]), line 13\n      14  forward\n >    17  penalty\n" in last
    )
    assert "class Base(nn.Module [torch.nn.Module]), line 8\n       9  build\n" in last
    assert re.search(r"^ *18 +return x.pow\(2\).mean\(\) \+ x.abs\(\).mean\(\)", last, re.M)


def test_a_reader_sees_no_placement(lossplace, run, queue):
    _, out, _ = lossplace("label", queue, "--run", run, "--reader", "ada", keys=["%"])
    legend = re.compile(r"^[rmbunsztq?] \w.*$", re.M)
    assert not re.search("|".join(CATEGORIES), legend.sub("", out))
    assert "stratum" not in out


def test_code_cannot_steer_the_terminal(lossplace, run, tmp_path):
    queue = tmp_path / "evil.csv"
    queue.write_text("repository,path,start_line\no/b,losses.py,1\n")
    status, out, err = lossplace("label", queue, "--run", run, "--reader", "ada", keys=["n"])
    assert (status, err) == (0, "")
    assert not {"\x1b", "\x07", "\u202e", "\t"} & set(out)
    assert "\\u202eabc" in out


@given(st.text())
def test_harmless_text_prints(text):
    assert all(line.isprintable() for line in harmless(text).split("\n"))


def snippet(commit):
    return Snippet("o/n", commit, "a b/#x.py", 3, 5, Kind.FUNCTION, "f", None, "def f(): pass")


def test_permalink():
    assert permalink(snippet(None)) is None
    assert permalink(snippet("abc")) == "https://github.com/o/n/blob/abc/a%20b/%23x.py#L3-L5"
    in_a_cell = replace(snippet("abc"), path="n.ipynb", cell=2, cell_line=1)
    assert permalink(in_a_cell) == "https://github.com/o/n/blob/abc/n.ipynb"


def test_keys_name_every_category_and_type_once():
    assert sorted(CATEGORY_KEYS.values()) == sorted(Category)
    assert sorted(TYPE_KEYS.values()) == sorted(UnknownType)
    assert sorted(CASE_KEYS.values()) == sorted(SpecialCase)
    assert not {"z", "q", "."} & {*TYPE_KEYS, *CATEGORY_KEYS, *CASE_KEYS}


@given(st.lists(st.sampled_from(["label", "skip", "undo", "note"]), max_size=25))
def test_whatever_is_done_the_file_holds_what_the_session_says(tmp_path_factory, actions):
    folder = tmp_path_factory.mktemp("session")
    (folder / "q.csv").write_text(
        "repository,path,start_line\n" + "".join(f"o/a,f.py,{n}\n" for n in (1, 2, 3))
    )
    queue = read_queue(folder / "q.csv")
    kept = Labels(folder / "l.csv", "ada", queue)
    session = Session(queue, kept)
    for number, action in enumerate(actions):
        if action == "undo":
            session.undo()
        elif session.current is not None:
            if action == "label":
                session.label(Category.NO_LOSS)
            elif action == "skip":
                session.skip()
            else:
                session.annotate(f"note {number}")
    again = Labels(folder / "l.csv", "ada", queue)
    assert [again[key] for key in queue.rows] == [kept[key] for key in queue.rows]
    labelled = [key for key in queue.rows if kept[key].category is Category.NO_LOSS]
    assert session.labelled == len(labelled)
    assert Session(queue, again).labelled == len(labelled)


def test_labels_of_snippets_that_left_the_queue_are_kept(lossplace, run, queue):
    arguments = ("label", queue, "--run", run, "--reader", "ada")
    lossplace(*arguments, keys=["n", "n"])
    queue.write_text("repository,path,start_line\no/a,losses.py,17\n")
    lossplace(*arguments, keys=["m"])
    found = labels(queue.with_name("q.ada.csv"))
    assert [row[:2] for row in found] == [
        ("17", "loss_in_model"),
        ("4", "no_loss"),
        ("9", "no_loss"),
    ]
    assert Label() not in found


HEAD = "repository,path,start_line"
BAD = [
    ("no queue", None, [], "q.csv"),
    ("an empty queue", f"{HEAD}\n", [], "none"),
    ("no line", f"{HEAD}\no/a,losses.py,x\n", [], "'x'"),
    ("a missing column", "repository,path\no/a,losses.py\n", [], "start_line"),
    ("a snippet twice", f"{HEAD}\no/a,losses.py,4\no/a,losses.py,4\n", [], "again"),
    ("a snippet that the run has not", f"{HEAD}\no/a,losses.py,4\no/a,losses.py,5\n", [], "losses.py 5"),
    ("a name that is none", f"{HEAD}\no/a,losses.py,4\n", ["--reader", "../ada"], "../ada"),
    ("the queue as labels file", f"{HEAD}\no/a,losses.py,4\n", ["--out", "q.csv"], "--out"),
    ("another one's labels", f"{HEAD}\no/a,losses.py,4\n", ["--out", "theirs.csv"], "bob"),
    ("labels that are none", f"{HEAD}\no/a,losses.py,4\n", ["--out", "broken.csv"], "'maybe'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_one_sentence_and_loses_nothing(lossplace, run, tmp_path, text, flags, said):
    queue = tmp_path / "q.csv"
    if text is not None:
        queue.write_text(text)
    (tmp_path / "theirs.csv").write_text(f"{HEAD},label,reader\no/a,losses.py,4,no_loss,bob\n")
    (tmp_path / "broken.csv").write_text(f"{HEAD},label,reader\no/a,losses.py,4,maybe,ada\n")
    before = {path: path.read_bytes() for path in tmp_path.glob("*.csv")}
    status, _, err = lossplace(
        "label", "q.csv", "--run", run, "--reader", "ada", *flags, keys=["n"]
    )
    assert status == 1
    assert err.startswith("lossplace: Expected ")
    assert said in err
    assert len(err.splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.glob("*.csv")} == before


def test_sample_draws_a_blind_queue_that_can_be_labelled(lossplace, run, tmp_path):
    status, out, err = lossplace("sample", run, "--labels", 9, "--half-width", "0.1", "--seed", 5)
    assert status == 0, err
    assert re.search(r"± 0\.1 needs \d+ labels", out)
    drawn = pd.read_csv(tmp_path / "queue.csv")
    assert len(drawn) == 9
    assert list(drawn.columns) == [
        "repository",
        "commit",
        "path",
        "start_line",
        "end_line",
        "kind",
        "qualname",
        "sampling_stratum",
        "stratum_size",
        "stratum_sampled",
        "inclusion_probability",
    ]
    text = (tmp_path / "queue.csv").read_text()
    assert not any(category in text for category in (*CATEGORIES, "unplaced"))
    design = json.loads((tmp_path / "queue.csv.design.json").read_text())
    assert sum(stratum["sampled"] for stratum in design["strata"]) == 9
    assert {s["sampling_stratum"] for s in design["strata"]} == set(drawn["sampling_stratum"])
    assert lossplace("label", "queue.csv", "--run", run, "--reader", "ada", keys="nnnn")[0] == 0
    assert read_gold(tmp_path / "queue.ada.csv").rows["stratum_size"].astype(int).sum() > 0


@pytest.mark.parametrize("design", ["random", "stratified", "thesis"])
def test_a_seed_draws_the_same_queue_twice(lossplace, run, tmp_path, design):
    for name in ("a.csv", "b.csv"):
        assert lossplace("sample", run, "--out", name, "--design", design, "--labels", 9)[0] == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_error_rates_are_measured_where_labels_are_given(lossplace, run, queue):
    lossplace("label", queue, "--run", run, "--reader", "ada", keys="nnnn")
    _, out, _ = lossplace("sample", run, "--out", "n.csv", "--gold", "q.ada.csv", "--labels", 9)
    assert "measured on 4 labels" in out


@pytest.mark.parametrize("flags", [["--losses"], ["--design", "thesis"]])
def test_only_losses_are_drawn(lossplace, run, tmp_path, flags):
    assert lossplace("sample", run, *flags)[0] == 0
    placed = pd.read_parquet(run / "placements.parquet")
    placed = placed[placed["placement"] != "no_loss"]
    drawn = pd.read_csv(tmp_path / "queue.csv")
    assert set(zip(drawn["repository"], drawn["start_line"], strict=True)) <= set(
        zip(placed["repository"], placed["start_line"], strict=True)
    )


def test_no_stratum_is_left_without_labels(lossplace, run, tmp_path):
    status, _, err = lossplace("sample", run, "--labels", 3)
    assert status == 1
    assert re.search(r"Expected \d labels or more, a few of each of the \d strata, found 3", err)
    assert not list(tmp_path.glob("queue*"))


def test_a_queue_is_never_overwritten(lossplace, run, queue):
    before = queue.read_bytes()
    status, _, err = lossplace("sample", run, "--out", queue)
    assert (status, queue.read_bytes()) == (1, before)
    assert err.startswith("lossplace: Expected no file at ")


@pytest.mark.parametrize("killed_before", [["queue.csv"], []])
def test_a_sample_that_was_killed_is_drawn_again(lossplace, run, tmp_path, killed_before):
    assert lossplace("sample", run)[0] == 0
    wanted = {path.name: path.read_bytes() for path in tmp_path.glob("queue*")}
    for name in killed_before:
        (tmp_path / name).unlink()
    assert lossplace("sample", run)[0] == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("queue*")} == wanted


OUTPUT = "loss_unknown,standalone_model_output_only"
CASES_A = {
    4: f"{OUTPUT},backward;multiple_losses",
    9: f"{OUTPUT},none",
    14: f"{OUTPUT},none",
    17: f"{OUTPUT},",
}
CASES_B = {
    4: f"{OUTPUT},multiple_losses; backward",
    9: f"{OUTPUT},backward",
    14: f"{OUTPUT},",
    17: f"{OUTPUT},",
}
CASES_C = {9: f"{OUTPUT},backward", 17: f"{OUTPUT},regularization"}


def test_special_cases_are_compared_and_settled(lossplace, tmp_path):
    for name, said in (("ada", CASES_A), ("bob", CASES_B), ("eve", CASES_C)):
        (tmp_path / f"{name}.csv").write_text(
            f"{HEAD},label,unknown_type,special_cases,reader\n"
            + "".join(f"o/a,losses.py,{line},{text},{name}\n" for line, text in said.items())
        )
    both = ("agree", "ada.csv", "bob.csv", "--out", "gold.csv")
    status, out, err = lossplace(*both, "--unit", "snippet")
    assert status == 0, err
    assert "special cases of standalone losses: 2 snippets read by two or more of 4" in out
    assert re.search(r" 9 +loss_unknown: standalone_model_output_only: none ", out)
    cases = [row["special_cases"] for row in rows(tmp_path / "gold.csv")]
    assert cases == ["multiple_losses;backward", "", "none", ""]
    assert lossplace(*both, "--adjudicated", "eve.csv")[0] == 0
    cases = [row["special_cases"] for row in rows(tmp_path / "gold.csv")]
    assert cases == ["multiple_losses;backward", "backward", "none", "regularization"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"{OUTPUT},back", "'back'"),
        (f"{OUTPUT},none;backward", "'none;backward'"),
        ("loss_unknown,hook,backward", "only of the types standalone_model_output_only and"),
        ("no_loss,,none", "of the type ''"),
        ("loss_unknown,hooks,", "'hooks'"),
    ],
)
@pytest.mark.parametrize("command", ["agree", "types", "label"])
def test_special_cases_that_are_none_are_refused(lossplace, run, tmp_path, said, why, command):
    for name in ("ada", "bob"):
        (tmp_path / f"{name}.csv").write_text(
            f"{HEAD},label,unknown_type,special_cases,reader\no/a,losses.py,4,{said},{name}\n"
        )
    (tmp_path / "q.csv").write_text(f"{HEAD}\no/a,losses.py,4\n")
    arguments = {
        "agree": ["ada.csv", "bob.csv"],
        "types": [run, "--labels", "ada.csv"],
        "label": ["q.csv", "--run", run, "--reader", "ada", "--out", "ada.csv"],
    }[command]
    status, _, err = lossplace(command, *arguments)
    assert (status, why in err) == (1, True), err
    assert "losses.py 4" in err or "line 2" in err


A = {4: "loss_unknown,other", 9: "no_loss,", 14: "no_loss,", 17: "loss_in_model,"}
B = {4: "loss_unknown,test", 9: "no_loss,", 14: "loss_in_model,", 17: ","}


def write_labels(folder, **readers):
    for name, labelled in readers.items():
        text = f"{HEAD},sampling_stratum,label,unknown_type,note,reader\n"
        text += "".join(f"o/a,losses.py,{n},s01,{label},,{name}\n" for n, label in labelled.items())
        (folder / f"{name}.csv").write_text(text)


def test_agree_lists_what_readers_differ_on(lossplace, tmp_path):
    write_labels(tmp_path, ada=A, bob=B)
    status, out, err = lossplace("agree", "ada.csv", "bob.csv", "--unit", "snippet", "--seed", 3)
    assert status == 0, err
    assert "labels: 3 snippets read by two or more of 4" in out
    assert re.search(r"share_agreed +ada, bob: 0\.667 \(0\.000 to 1\.000\), 3 snippets", out)
    assert re.search(r"14 +no_loss +loss_in_model", out)
    assert re.search(r"4 +loss_unknown: other +loss_unknown: test", out)
    assert "assume that the snippets of the labels are an independent random sample" in out
    assert lossplace("agree", "ada.csv", "bob.csv", "--unit", "snippet", "--seed", 3)[1] == out


@pytest.mark.parametrize(
    ("settled", "expected"),
    [
        (None, ["loss_unknown", "no_loss", "", ""]),
        ({14: "loss_in_model,", 4: "loss_unknown,hook"}, ["loss_unknown/hook", "no_loss", "loss_in_model", ""]),
        ({9: "loss_in_runner,"}, ["loss_unknown", "no_loss", "", ""]),  # what all agree on stays
        ({17: "loss_in_model,"}, ["loss_unknown", "no_loss", "", "loss_in_model"]),
    ],
)  # fmt: skip
def test_agree_makes_gold(lossplace, tmp_path, settled, expected):
    write_labels(tmp_path, ada=A, bob=B, **({} if settled is None else {"eve": settled}))
    flags = [] if settled is None else ["--adjudicated", "eve.csv"]
    status, _, err = lossplace("agree", "ada.csv", "bob.csv", "--out", "gold.csv", *flags)
    assert status == 0, err
    gold = rows(tmp_path / "gold.csv")
    assert ["/".join(filter(None, (r["label"], r["unknown_type"]))) for r in gold] == expected
    assert [r["contested"] for r in gold] == ["false" if label else "true" for label in expected]
    assert [r["label_bob"] for r in gold] == ["loss_unknown", "no_loss", "loss_in_model", ""]
    assert {r["sampling_stratum"] for r in gold} == {"s01"}
    assert read_gold(tmp_path / "gold.csv").contested == expected.count("")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ada.csv"], "one file"),
        (["ada.csv", "ada.csv"], "'ada'"),
        (["ada.csv", "no.csv"], "no.csv"),
        (["ada.csv", "bob.csv", "--out", "bob.csv"], "bob.csv"),
        (["ada.csv", "bob.csv", "--out", "ada.csv", "--adjudicated", "no.csv"], "ada.csv"),
    ],
)
def test_agree_refuses_what_would_mislead(lossplace, tmp_path, arguments, said):
    write_labels(tmp_path, ada=A, bob=B)
    before = (tmp_path / "ada.csv").read_bytes(), (tmp_path / "bob.csv").read_bytes()
    status, _, err = lossplace("agree", *arguments)
    assert (status, said in err) == (1, True)
    assert err.startswith("lossplace: Expected ")
    assert ((tmp_path / "ada.csv").read_bytes(), (tmp_path / "bob.csv").read_bytes()) == before


def test_types_are_proposed_measured_and_kept(lossplace, run, tmp_path):
    (tmp_path / "l.csv").write_text(
        f"{HEAD},label,unknown_type,special_cases\n"
        f"o/a,losses.py,4,{OUTPUT},none\n"
        "o/a,losses.py,9,loss_unknown,hook,\no/a,losses.py,14,no_loss,,\n"
    )
    status, out, err = lossplace("types", run, "--labels", "l.csv")
    assert status == 0, err
    assert "Rules and hand agree on 1 of 2 labelled snippets" in " ".join(out.split())
    assert "Rules and hand agree on 1 of 1 labelled standalone" in " ".join(out.split())
    by_hand = pd.read_parquet(run / "label_types.parquet").set_index("start_line")
    assert by_hand.loc[[4, 9], "special_cases"].tolist() == ["none", ""]
    assert by_hand.loc[4, "proposed_cases"] == "none"
    kept = pd.read_parquet(run / "types.parquet")
    placed = pd.read_parquet(run / "placements.parquet")
    unknown = placed[placed["placement"] == "loss_unknown"]
    assert kept["snippet_id"].tolist() == unknown["snippet_id"].tolist()
    assert set(kept["type"]) <= set(UnknownType)
    assert "all was done" in lossplace("types", run)[1]
    (tmp_path / "l.csv").write_text(
        f"{HEAD},label,unknown_type\no/a,losses.py,4,loss_unknown,odd\n"
    )
    status, _, err = lossplace("types", run, "--labels", "l.csv")
    assert (status, "'odd'" in err) == (1, True)


def test_paper_writes_the_tables_of_the_manual_analysis(lossplace, run):
    paper(*open_run(run), drawings=False)
    for name in ("table_4_3", "table_4_4", "table_a_1", "table_a_2"):
        for form in ("csv", "md", "tex"):
            assert (run / "paper" / f"{name}.{form}").stat().st_size > 0
    assert not (run / "paper" / "table_4_2.csv").exists()  # it needs labels
    usage = pd.read_csv(run / "paper" / "table_a_1.csv").set_index("framework")
    assert usage.loc["PyTorch", "importing"] == 1
    first = {path: path.read_bytes() for path in (run / "paper").glob("table_*")}
    assert lossplace("paper", run)[0] == 0
    assert {path: path.read_bytes() for path in (run / "paper").glob("table_*")} == first
