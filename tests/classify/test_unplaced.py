import pandas as pd
import pytest

from classify.classification import PLACEMENTS
from classify.unplaced import unplaced_lines
from mining.artifacts import Artifact, Run
from mining.extraction import SNIPPETS
from mining.rank import RANKING

RANKED = [("a/a", True), ("b/b", True), ("c/c", False)]
EXTRACTED = [("a/a", "a1"), ("a/a", "a2"), ("b/b", "b1"), ("c/c", "c1")]


@pytest.mark.parametrize(
    ("placed", "unplaced"),
    [
        (None, 3),
        ([], 3),
        ([("a1", "no_loss"), ("c1", "no_loss")], 2),
        ([("a1", "no_loss"), ("a2", None), ("b1", "loss_unknown")], 1),
        ([("a1", "no_loss"), ("a2", "no_loss"), ("b1", "no_loss"), ("x", "no_loss")], 0),
    ],
    ids=["nothing placed yet", "no placement", "another repository's", "no verdict", "all"],
)
def test_snippets_of_selected_repositories_that_need_verdicts(tmp_path, placed, unplaced):
    run, made = Run(tmp_path), Artifact("test", {}, {})
    run.write(RANKING, pd.DataFrame(RANKED, columns=["repository", "selected"]), made)
    assert unplaced_lines(run) == []
    run.write(SNIPPETS, pd.DataFrame(EXTRACTED, columns=["repository", "snippet_id"]), made)
    if placed is not None:
        frame = pd.DataFrame(placed, columns=["snippet_id", "placement"], dtype="str")
        run.write(PLACEMENTS, frame, made)
    (line,) = unplaced_lines(run)
    assert line.startswith(f"  {unplaced} of the 3 extracted snippets")


@pytest.mark.parametrize("damaged", [SNIPPETS, PLACEMENTS])
def test_what_cannot_be_read_is_not_taken_for_missing(tmp_path, damaged):
    run, made = Run(tmp_path), Artifact("test", {}, {})
    run.write(RANKING, pd.DataFrame(RANKED, columns=["repository", "selected"]), made)
    run.write(SNIPPETS, pd.DataFrame(EXTRACTED, columns=["repository", "snippet_id"]), made)
    run.path(damaged).write_text("damaged")
    (line,) = unplaced_lines(run)
    assert f"{damaged} cannot be read" in line
