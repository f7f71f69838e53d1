import pandas as pd
import pytest

from mining.commits import read_commits
from mining.errors import InputError

A, B = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("text", "commits"),
    [
        (f"repository,commit\no/a,{A}\no/b,{B}\n", {"o/a": A, "o/b": B}),
        (f"stars,commit,repository\n1,{A},o/a\n2,,o/b\n", {"o/a": A, "o/b": None}),
        (f"\ufeffrepository,commit\r\no/a,{A}\r\n", {"o/a": A}),
        (f"repository,commit,reason\no/a,,not found\no/b,{B},\n", {"o/b": B}),
    ],
)
def test_a_list(tmp_path, text, commits):
    path = tmp_path / "list.csv"
    path.write_text(text)
    found = read_commits(path)
    assert list(found.columns) == ["repository", "query", "position", "score", "commit"]
    given = zip(found["repository"], found["commit"], strict=True)
    assert {name: None if pd.isna(commit) else commit for name, commit in given} == commits
    assert found["query"].unique() == ["given"]
    assert found["position"].to_list() == list(range(1, len(commits) + 1))


def test_the_corpus_of_a_run(tmp_path):
    corpus = pd.DataFrame(
        {
            "repository": ["o/a", "o/b"],
            "query": ["PyTorch CNN", "PyTorch GAN"],
            "position": [3, 1],
            "score": [2.5, 1.0],
            "commit": [A, None],
            "tree_sha256": ["1", None],
            "reason": [None, "gone"],
        }
    )
    corpus.to_parquet(tmp_path / "corpus.parquet")
    assert read_commits(tmp_path / "corpus.parquet").to_dict("records") == [
        {"repository": "o/a", "query": "PyTorch CNN", "position": 3, "score": 2.5, "commit": A}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "found nothing that can be read"),
        ("", "found nothing that can be read"),
        ("repository\no/a\n", "found no commit"),
        ("a,b\n1,2\n", "found no commit and no repository"),
        ("repository,commit\n", "found none"),
        (f"repository,commit\no/a,{A}\no/a,{B}\n", "each repository once .* 'o/a' in row 2"),
        ("repository,commit\no/a,main\n", "full commit hashes .* 'main' in row 1"),
        (f"repository,commit\n,{A}\n", "a name for each repository"),
        ("repository,commit\no/a,1234567\n", "full commit hashes"),
    ],
)
def test_a_wrong_list_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "list.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_commits(path)


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "x.parquet").write_text("repository")
    with pytest.raises(InputError, match="found nothing that can be read"):
        read_commits(tmp_path / "x.parquet")
