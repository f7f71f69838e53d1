import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from classify import cli
from mining.opening import open_run
from mining.shipped import shipped
from tests.opening import classified

ROOT = Path(__file__).parents[2]
CODE = "def loss(a, b, w):\n    return (a - b).abs().mean() + w * (a - b).pow(2).mean()\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run over one snippet, for tests that begin where a run has ended."""
    folder = tmp_path_factory.mktemp("finished")
    place = folder / "corpus" / "o__n" / "losses.py"
    place.parent.mkdir(parents=True)
    place.write_text(CODE)
    classified(*open_run(None, folder / "run", folder / "corpus"))
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run, at the path that the command line gives runs."""
    shutil.copytree(finished, tmp_path / "runs" / "corpus")
    return "runs/corpus"


@pytest.fixture
def corpus(tmp_path):
    place = tmp_path / "corpus" / "o__n" / "losses.py"
    place.parent.mkdir(parents=True)
    place.write_text(CODE)
    return tmp_path / "corpus"


def test_a_local_corpus_without_a_study(lossplace, corpus, tmp_path):
    status, out, _ = lossplace("run", "--local", corpus)
    assert status == 0
    assert "loss_unknown" in out
    assert (tmp_path / "runs" / "corpus" / "paper" / "table_4_1.csv").exists()

    gold = tmp_path / "gold.csv"
    gold.write_text("repository,path,start_line,label\no/n,losses.py,1,loss_unknown\n")
    status, out, _ = lossplace("evaluate", "runs/corpus", "--gold", gold, "--json")
    assert status == 0
    assert json.loads(out)["samples"]["losses"]["weighted_f1"] == 1
    status, out, _ = lossplace("evaluate", "runs/corpus", "--gold", gold)
    assert (status, "weighted F1 1.00" in out) == (0, True)

    status, out, _ = lossplace("paper", "runs/corpus", "--gold", gold)
    assert (status, "table_d_2" in out) == (0, True)
    status, out, _ = lossplace("status", "runs/corpus", "--json")
    done = {each["artifact"]: each["rows"] for each in json.loads(out)}
    assert done["placements.parquet"] == 1
    assert done["repositories.parquet"] is None


def test_the_stages_one_by_one(lossplace, corpus, tmp_path):
    study = tmp_path / "s.toml"
    study.write_text('[corpus]\nlocal = "corpus"\n')
    for command in ("fetch", "extract", "classify", "paper", "status"):
        status, out, err = lossplace(command, study)
        assert (status, out != "") == (0, True), err
    assert "not done" in out  # no search was made


def test_two_runs_compared_and_errors_carried_over(lossplace, corpus, tmp_path):
    more = corpus / "o__n" / "train.py"
    more.write_text("def step(a, b):\n    return a\n")
    study = tmp_path / "ignore.toml"
    study.write_text('[corpus]\nlocal = "corpus"\n[placement]\nbases = "ignore"\n')
    assert lossplace("run", "--local", corpus)[0] == lossplace("run", study)[0] == 0
    gold = tmp_path / "gold.csv"
    gold.write_text(
        "repository,path,start_line,label\no/n,losses.py,1,loss_unknown\no/n,train.py,1,no_loss\n"
    )
    status, out, _ = lossplace("compare", "runs/corpus", study, "--gold", gold)
    assert (status, "right in both 2" in out) == (0, True)
    status, out, _ = lossplace("compare", "runs/corpus", study, "--json")
    assert (status, json.loads(out)["common"]) == (0, 2)

    paper = ("paper", "runs/corpus", "--gold", gold, "--transfer-from")
    status, out, _ = lossplace(*paper, "runs/corpus")
    assert (status, "table_4_1_transferred" in out) == (0, True)
    status, _, err = lossplace(*paper, study)
    assert (status, "found other settings (judge_sha256, placement)" in err) == (1, True)
    status, _, err = lossplace("paper", "runs/corpus", "--transfer-from", "runs/corpus")
    assert (status, "found none named; give --gold" in err) == (1, True)


def test_published_tables_agree_in_every_cell(lossplace):
    status, out, _ = lossplace("paper", "--published")
    assert status == 0
    assert out.rstrip().endswith("56 of 56 published cells agree")


BAD_STUDIES = [
    ("unknown key", "[judge]\nvote = 5\n", ["run"], "judge.vote"),
    ("wrong weight", "[ranking]\nweights = { stars = -1 }\n", ["run"], "ranking.weights.stars"),
    ("no TOML", "name =\n", ["run"], "s.toml"),
    ("missing corpus", "[corpus]\nlocal = 'nowhere'\n", ["run"], "nowhere"),
    ("missing prompts", "[corpus]\nlocal='corpus'\n[prompts]\nfolder='no'\n[judge]\nkind='openai'\n", ["run"], "no/loss_related.md"),
    ("missing gold", "[corpus]\nlocal='corpus'\n[evaluation]\ngold='no.csv'\n", ["run"], "no.csv"),
    ("nothing to replay", "[corpus]\nlocal='corpus'\n[judge]\nkind='replay'\n", ["run"], "replay"),
    ("unreachable model", "[corpus]\nlocal='corpus'\n[judge]\nkind='openai'\nbase_url='http://127.0.0.1:9/v1'\n", ["run"], "127.0.0.1:9"),
    ("unreachable GitHub", "[search]\nbase_url='http://127.0.0.1:9'\nmax_wait_s=0\n", ["search"], "127.0.0.1:9"),
    ("not searched yet", "", ["rank"], "repositories.parquet"),
    ("wrong flag", "", ["rank", "--weights", "star=1"], "star=1"),
    ("no top", "", ["rank", "--top", "0"], "ranking.top"),
    ("not extracted yet", "[corpus]\nlocal='corpus'\n", ["classify"], "files.parquet"),
    ("not placed yet", "", ["evaluate", "--gold", "gold.csv"], "placements.parquet"),
    ("no gold named", "", ["evaluate"], "--gold"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "command", "said"), [c[1:] for c in BAD_STUDIES], ids=[c[0] for c in BAD_STUDIES]
)
def test_bad_input_is_one_sentence_and_exit_status_1(
    lossplace, corpus, tmp_path, monkeypatch, text, command, said
):
    monkeypatch.setenv("GITHUB_TOKEN", "github_pat_marked_as_secret")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts at GitHub
    (tmp_path / "gold.csv").write_text("repository,path,start_line,label\no/n,l.py,1,no_loss\n")
    (tmp_path / "s.toml").write_text(text)
    status, _, err = lossplace(command[0], "s.toml", *command[1:])
    assert status == 1
    (message,) = [line for line in err.splitlines() if line.startswith("lossplace: ")]
    assert said in message
    assert message.startswith("lossplace: Expected ")
    assert "Traceback" not in err
    assert "marked_as_secret" not in err
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("placements.parquet")) or said == "no.csv"


def test_a_missing_token_says_where_to_get_one(lossplace, tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no gh
    (tmp_path / "s.toml").write_text("")
    status, _, err = lossplace("search", "s.toml")
    assert status == 1
    assert "GITHUB_TOKEN" in err


GOLD = [
    ("no file", None),
    ("no text", b"\xff\xfe\x00"),
    ("missing column", b"repository,path,label\no/n,losses.py,no_loss\n"),
    ("no line number", b"repository,path,start_line,label\no/n,losses.py,one,no_loss\n"),
    ("unknown label", b"repository,path,start_line,label\no/n,losses.py,1,loss\n"),
    ("about nothing here", b"repository,path,start_line,label\no/m,losses.py,1,no_loss\n"),
]


@pytest.mark.parametrize("content", [g[1] for g in GOLD], ids=[g[0] for g in GOLD])
def test_corrupt_gold_is_one_sentence(lossplace, run, tmp_path, content):
    gold = tmp_path / "gold.csv"
    if content is not None:
        gold.write_bytes(content)
    status, out, err = lossplace("evaluate", run, "--gold", gold, "--json")
    assert (status, out) == (1, "")
    assert err.startswith("lossplace: Expected ")
    assert len(err.splitlines()) == 1


def test_a_run_folder_that_cannot_be_written_is_one_sentence(lossplace, corpus, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = lossplace("run", "--local", corpus, "--run-dir", tmp_path / "file" / "run")
    assert status == 1
    assert err.startswith("lossplace: Expected to write the run")
    status, _, err = lossplace("run", "--local", corpus, "--run-dir", "/dev/full")
    assert (status, len(err.splitlines())) == (1, 1)


def test_a_name_cannot_steer_the_terminal(lossplace, tmp_path):
    place = tmp_path / "corpus" / "o__\x1b[31mred" / "a.py"
    place.parent.mkdir(parents=True)
    place.write_text(CODE)
    _, out, err = lossplace("run", "--local", tmp_path / "corpus")
    assert "\x1b" not in out + err


def test_a_run_is_exported_bundled_and_verified(lossplace, run, corpus, tmp_path):
    status, out, err = lossplace("export", run, "--to", "csv", "--out", "a/snippets.csv")
    assert (status, out.splitlines()[-1]) == (0, "written to a/snippets.csv"), err
    status, out, err = lossplace("bundle", run, "--out", "b.zip", "--with-text")
    assert (status, "verify: no differences" in out) == (0, True), err
    status, out, err = lossplace("verify", "b.zip")
    assert (status, "agrees: 1 placements" in out) == (0, True), err

    assert lossplace("bundle", run, "--out", "b")[0] == 0
    table = tmp_path / "b" / "paper" / "table_4_1.csv"
    table.write_text(table.read_text().replace(",1,", ",2,", 1))
    status, out, err = lossplace("verify", "b")
    assert (status, "lossplace:" in err) == (1, False)
    assert "differs: paper/table_4_1.csv comes out otherwise" in out
    status, _, err = lossplace("verify", "corpus")
    assert (status, err.startswith("lossplace: Expected a bundle")) == (1, True)


COMMANDS = typer.main.get_command(cli.app).commands


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_documented(command):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"lossplace {command}" in readme
    for option in COMMANDS[command].params:
        for name in option.opts:
            assert not name.startswith("--") or name == "--help" or name in readme


HEAVY = {"pandas", "torch", "pyarrow", "scipy", "github", "matplotlib", "openai", "ray", "vllm", "tree_sitter"}  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["classify", "--help"]])
def test_help_needs_no_heavy_library(arguments):
    code = f"""
import sys
from classify.__main__ import main
sys.argv = ["lossplace", *{arguments}]
try:
    main()
finally:
    print(sorted({HEAVY} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: lossplace" in out.stdout
    assert out.stdout.splitlines()[-1] == "[]"


def test_the_sample_study_is_what_make_demo_shows(lossplace, tmp_path):
    status, out, err = lossplace("run", shipped("data/studies/sample.toml"))
    assert status == 0, err
    assert "Table 4.1" in out
    assert "weighted F1" in out
    assert out.rstrip().splitlines()[-1] == "written to runs/sample"
