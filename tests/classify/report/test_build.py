"""What a report's folder holds, without a browser."""

import base64
import gzip
import json
import re
import sys

import pandas as pd
import pytest

from classify import cli, pipeline
from classify.classification import PLACEMENTS
from classify.metrics import UNPLACED
from classify.questions import Question
from classify.report.repositories import parts_of
from classify.report.snippets import PLACES, VERDICTS
from mining.artifacts import Artifact
from mining.errors import ArtifactError
from mining.extracted import Corpus
from mining.opening import open_run
from mining.rank import RANKING
from mining.study import SearchSettings
from tests.opening import classified


def shard(folder, name):
    script = (folder / "data" / f"{name}.js").read_bytes()
    found = re.fullmatch(rb'lossplace\.receive\("%s","(.*)"\);\n' % name.encode(), script)
    return json.loads(gzip.decompress(base64.b64decode(found.group(1))))


def series(folder, kind):
    starts = shard(folder, "study")["finding"][kind]
    items = []
    for number, start in enumerate(starts):
        assert start == len(items)
        items += shard(folder, f"{kind}-{number}")
    return items


def test_the_table_holds_every_snippet_in_its_place(reported, voted):
    placed = voted[1].read(PLACEMENTS)
    table = shard(reported, "snippets")
    ids = [table["id"][i : i + 16] for i in range(0, len(table["id"]), 16)]
    assert ids == placed["snippet_id"].tolist()
    assert [PLACES[i] for i in table["placed"]] == placed["placement"].fillna(UNPLACED).tolist()
    repositories = shard(reported, "repositories")["repository"]
    where = [
        (repositories[table["files"][f][0]], table["files"][f][1], line)
        for f, line in zip(table["file"], table["line"], strict=True)
    ]
    assert where == list(
        placed[["repository", "path", "start_line"]].itertuples(index=False, name=None)
    )
    corpus = Corpus(voted[1])
    texts = [s.text for r in corpus.repositories for s in corpus.snippets(r)]
    assert series(reported, "code") == texts
    assert len(set(table["text"])) == placed["code_sha256"].nunique()


def test_a_case_holds_the_verdicts_that_placed_it_and_the_votes_that_made_them(reported, voted):
    placed = voted[1].read(PLACEMENTS)
    cases = series(reported, "cases")
    margins = shard(reported, "snippets")["margin"]
    for case, margin, row in zip(cases, margins, placed.to_dict("records"), strict=True):
        verdicts = {question: verdict for question, verdict, _ in case["steps"]}
        assert verdicts == {q.value: row[q] for q in Question if isinstance(row[q], str)}
        leads = []
        for verdict, votes, refused in case["asks"].values():
            yes, no = (sum(d is wanted for d, _, _ in votes) for wanted in (True, False))
            assert verdict == ("yes" if yes > no else "no" if no > yes else "none")
            assert refused is None
            leads.append(abs(yes - no))
        assert margin <= 5
        assert not case["steps"] or margin >= min(leads, default=0) or row["kind"] == "method"


def test_the_other_run_and_the_labels_stand_beside_each_snippet(reported, voted, sample):
    theirs = sample[1].read(PLACEMENTS)
    other = shard(reported, "other")
    assert [PLACES[i] for i in other["placed"]] == theirs["placement"].fillna(UNPLACED).tolist()
    definition = [None if i is None else VERDICTS[i] for i in other["verdicts"]["loss_definition"]]
    assert definition == [v if isinstance(v, str) else None for v in theirs["loss_definition"]]
    gold = shard(reported, "gold")
    labelled = pd.read_csv(voted[0].evaluation.gold)
    assert len(gold["rows"]) == (~labelled["contested"].astype(bool)).sum()


def test_nothing_of_this_machine_is_in_it(reported, voted):
    study = json.dumps(shard(reported, "study"))
    assert str(voted[1].folder.parent) not in study
    sidecar = (reported / "index.html.meta.json").read_text("utf-8")
    assert str(voted[1].folder.parent) not in sidecar


def test_it_is_made_once_and_the_same_each_time(copied):
    study, run = copied

    def files():
        folder = run.path("report")
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert "report/index.html" in pipeline.report(study, run)[0]
    first = files()
    assert "nothing has changed" in pipeline.report(study, run)[0]
    (run.path("report/index.html.meta.json")).unlink()
    pipeline.report(study, run)
    assert files() == first


def test_a_public_report_leaves_out_what_may_not_be_passed_on(copied):
    study, run = copied
    placed = run.read(PLACEMENTS)
    names = placed["repository"].unique()
    ranking = pd.DataFrame({"repository": names, "license": None, "selected": True, "reason": None})
    ranking.loc[0, "license"] = "MIT"
    for column in ("rank", "stars", "forks", "f_stars", "f_forks", "f_recency"):
        ranking[column] = 0.5
    ranking["pushed_at"] = pd.Timestamp("2024-02-20T00:00:00Z")
    run.write(RANKING, ranking, Artifact("rank", {}, {}))
    pipeline.report(study, run, public=True)
    shown = [code is not None for code in series(run.path("report"), "code")]
    assert shown == (placed["repository"] == names[0]).tolist()
    assert shard(run.path("report"), "study")["about"]["public"] is True


def test_placements_that_the_votes_do_not_give_are_an_error(copied):
    study, run = copied
    placed = run.read(PLACEMENTS)
    sidecar = run.sidecar(PLACEMENTS)
    placed.loc[0, "placement"] = "loss_in_model"
    settings = {k: v for k, v in sidecar.settings.items() if k != "lossplace"}
    run.write(PLACEMENTS, placed, Artifact("classify", settings, sidecar.inputs))
    with pytest.raises(ArtifactError, match="run `lossplace classify` first"):
        pipeline.report(study, run)
    assert not run.path("report").exists()
    assert not list(run.folder.glob(".report*"))


def test_a_run_without_a_snippet_is_an_error(tmp_path):
    (tmp_path / "corpus" / "o__r").mkdir(parents=True)
    (tmp_path / "corpus" / "o__r" / "a.py").write_text("x = 1\n")
    study, run = open_run(None, tmp_path / "run", tmp_path / "corpus")
    classified(study, run)
    with pytest.raises(ArtifactError, match="Expected snippets to report on"):
        pipeline.report(study, run)


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("PyTorch CNN", ("PyTorch", "CNN")),
        ("TensorFlow recursive neural network", ("TensorFlow", "recursive neural network")),
        ("local", (None, None)),
        ("PyTorch", (None, None)),
    ],
)
def test_what_a_query_asks_for(query, parts):
    assert parts_of(query, SearchSettings()) == parts


def test_the_first_page_counts_what_the_paper_counts(reported, voted):
    overview = shard(reported, "study")["overview"]
    placed = voted[1].read(PLACEMENTS)
    assert overview["numbers"]["snippets"] == len(placed)
    assert overview["numbers"]["losses"] == placed["placement"].str.startswith("loss").sum()
    stages = [(each["stage"], each["count"]) for each in overview["flow"]]
    assert stages[0] == ("fetched", placed["repository"].nunique())
    assert stages[-1] == ("placed as a loss", overview["numbers"]["losses"])
    losses, (reason, lost) = overview["flow"][-1]["count"], overview["flow"][-1]["left"][0]
    assert (reason, lost + losses) == ("no_loss", placed["placement"].notna().sum())
    figure = pd.read_csv(voted[1].path("paper/figure_4_1.csv"))
    assert overview["figure_4_1"]["share"] == pytest.approx(figure["share"].tolist(), abs=1e-6)
    assert overview["figure_4_1"]["low"] == pytest.approx(figure["low"].tolist(), abs=1e-6)


def test_the_command(copied, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lossplace", "report", str(copied[1].folder)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "open " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["lossplace", "report", str(copied[1].folder / "nowhere")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("lossplace: Expected")
