import pyarrow.parquet as pq
import pytest

from mining.extracted import Corpus
from mining.extraction import CLASSES, FILES, SNIPPETS
from mining.opening import open_run
from mining.pipeline import extract, fetch
from tests.opening import begin

MANY = 30


@pytest.fixture(params=[250, 4])
def extracted(tmp_path, monkeypatch, request):
    monkeypatch.setattr("mining.extraction._HELD_TABLES", request.param)
    for number in range(MANY):
        home = tmp_path / "corpus" / f"o__n{number:02}"
        home.mkdir(parents=True)
        # some have no class, some nothing at all
        text = f"def f{number}():\n    pass\n" if number % 5 else ""
        text += f"class A{number}(B):\n    def m(self): pass\n" if number % 3 else ""
        (home / "a.py").write_text(text)
    opened = begin(*open_run(None, tmp_path / "run", tmp_path / "corpus"))
    fetch(*opened)
    extract(*opened)
    return opened[1]


def test_small_repositories_share_a_row_group(extracted):
    # else a table of ten thousand repositories is mostly what Parquet notes about row groups
    for name in (FILES, SNIPPETS, CLASSES):
        assert pq.read_metadata(extracted.path(name)).num_row_groups == 1


@pytest.mark.parametrize("step", [1, 7, -1])
def test_each_is_read_by_itself_in_any_order(extracted, step):
    corpus = Corpus(extracted)
    numbers = [number * step % MANY for number in range(MANY)]
    for number in numbers:
        repository = f"o/n{number:02}"
        names = [f"f{number}"] if number % 5 else []
        names += [f"A{number}.m"] if number % 3 else []
        assert [each.qualname for each in corpus.snippets(repository)] == names
        classes = [each.qualname for each in corpus.classes(repository)]
        assert classes == ([f"A{number}"] if number % 3 else [])
        assert list(corpus.code(repository).texts) == ["a.py"]
    assert corpus.repositories == [f"o/n{i:02}" for i in range(MANY) if i % 15]


def test_a_large_repository_takes_several(tmp_path, monkeypatch):
    monkeypatch.setattr("mining.extraction._ROW_GROUP_BYTES", 2000)
    monkeypatch.setattr("mining.extraction._HELD_CHARACTERS", 500)
    for name in ("o__large", "o__next"):
        home = tmp_path / "corpus" / name
        home.mkdir(parents=True)
        for number in range(20):
            (home / f"f{number:02}.py").write_text(f"def f{number}():\n    return {'1 + ' * 50}1\n")
    opened = begin(*open_run(None, tmp_path / "run", tmp_path / "corpus"))
    fetch(*opened)
    extract(*opened)
    assert pq.read_metadata(opened[1].path(SNIPPETS)).num_row_groups > 2
    corpus = Corpus(opened[1])
    for repository in ("o/next", "o/large"):
        snippets = corpus.snippets(repository)
        assert [each.qualname for each in snippets] == [f"f{number}" for number in range(20)]
        assert len(corpus.code(repository).texts) == 20
