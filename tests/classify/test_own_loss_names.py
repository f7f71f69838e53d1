"""A study with its own list of known losses, from the gate to the replication package."""

import pytest

from classify import pipeline
from classify.classification import PLACEMENTS
from classify.replication.bundle import bundle
from classify.replication.verify import verify
from mining import pipeline as mining
from mining.artifacts import Run
from mining.errors import InputError
from mining.study import Study, override, read_study, write_study

TEXT = "def total(a, b):\n    return heron(a, b) + 2 * heron(b, a)\n"


@pytest.fixture
def mined(tmp_path):
    place = tmp_path / "corpus" / "o__r" / "main.py"
    place.parent.mkdir(parents=True)
    place.write_text(TEXT)
    study = Study(name="s", corpus={"local": tmp_path / "corpus"})
    run = Run(tmp_path / "run")
    mining.fetch(study, run)
    mining.extract(study, run)
    return study, run


def asked_whether_related(run):
    return run.read(PLACEMENTS)["loss_related"].notna().tolist()


def test_the_gate_knows_the_names_of_the_study(mined, tmp_path):
    study, run = mined
    pipeline.classify(study, run)
    assert asked_whether_related(run) == [True]
    names = tmp_path / "names.csv"
    names.write_text("name,confirmed\nheron,yes\n")
    own = override(study, placement={"loss_functions": names})
    pipeline.classify(own, run)
    assert asked_whether_related(run) == [False]
    names.write_text("name,confirmed\nheron,no\negret,yes\n")
    pipeline.classify(own, run)  # another list under the same name
    assert asked_whether_related(run) == [True]
    names.unlink()
    with pytest.raises(InputError, match=r"names\.csv"):
        pipeline.classify(own, run)


def test_a_bundle_has_the_list_with_it(mined, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("name\nheron\n")
    study, run = mined
    own = override(study, placement={"loss_functions": names})
    pipeline.classify(own, run)
    bundle(own, run, tmp_path / "package", with_text=True)
    names.unlink()
    assert verify(tmp_path / "package").agrees
    packed = read_study(tmp_path / "package" / "study.json").placement.loss_functions
    assert packed == tmp_path / "package" / "loss_functions.csv"


def test_the_path_of_the_list_is_taken_from_the_study_file(tmp_path):
    names = tmp_path / "names.csv"
    study = Study(name="s", placement={"loss_functions": names})
    write_study(study, tmp_path / "runs" / "study.json")
    assert '"../names.csv"' in (tmp_path / "runs" / "study.json").read_text()
    assert read_study(tmp_path / "runs" / "study.json").placement.loss_functions == names
