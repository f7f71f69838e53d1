import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import SquareTable
from statsmodels.stats.contingency_tables import mcnemar as theirs_mcnemar
from statsmodels.stats.inter_rater import cohens_kappa

from classify.compare import bowker, cohen_kappa, compare, difference_of_weighted_f1, mcnemar
from classify.errors import GoldError
from classify.gold import Gold
from classify.metrics import CATEGORIES, confusion, counts, weighted_f1
from mining.errors import ArtifactError

RUN, MOD, BOTH, UNK, NOT = CATEGORIES


def run_of(placements, repositories=None, text="t"):
    """Placements in the lines 1, 2, ... of a file; of one repository unless told otherwise."""
    n = len(placements)
    return pd.DataFrame(
        {
            "repository": list(repositories or ["o/r"] * n),
            "path": "a.py",
            "start_line": range(1, n + 1),
            "code_sha256": text,
            "placement": pd.Series(list(placements), dtype="str"),
        }
    )


def gold_of(labels, repositories=None, **columns):
    rows = run_of(labels, repositories)[["repository", "path", "start_line"]]
    return Gold(rows.assign(label=list(labels), **columns), 0)


pairs = st.lists(st.tuples(*[st.sampled_from(CATEGORIES)] * 2), min_size=2, max_size=80)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # statsmodels, where kappa0 has no spread
@given(pairs)
def test_kappa_of_independent_snippets_is_that_of_statsmodels(rows):
    first, second = zip(*rows, strict=True)
    n = len(rows)
    placed = pd.DataFrame(
        {"repository": range(n), "placement_a": first, "placement_b": second}, dtype=object
    )
    ours = cohen_kappa(placed, 0.95)
    if ours is None:
        assert len({*first, *second}) == 1
        return
    assert ours.estimate == pytest.approx(cohen_kappa_score(first, second))
    theirs = cohens_kappa(confusion(first, second)[list(CATEGORIES)].to_numpy())
    if ours.low > -1 and ours.high < 1:  # not cut
        deviation = np.sqrt(max(theirs.var_kappa, 0) * n / (n - 1))
        half_width = student.ppf(0.975, n - 1) * deviation
        assert ours.half_width == pytest.approx(half_width, rel=1e-6, abs=1e-6)


@given(st.lists(st.integers(1, 60), min_size=25, max_size=25))
def test_bowker_is_that_of_statsmodels(cells):
    table = np.reshape(cells, (5, 5)).astype(float)
    ours, theirs = bowker(table), SquareTable(table, shift_zeros=False).symmetry()
    assert (ours.statistic, ours.degrees_of_freedom) == (pytest.approx(theirs.statistic), theirs.df)
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_bowker_counts_only_pairs_between_which_snippets_move():
    table = np.diag([5.0, 5, 5, 5, 5])
    assert bowker(table) is None
    table[0, 1], table[1, 0], table[2, 4] = 9, 3, 4
    test = bowker(table)
    assert (test.degrees_of_freedom, test.statistic, test.n) == (2, 36 / 12 + 4, 16)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_that_of_statsmodels(only_a, only_b):
    ours = mcnemar(only_a, only_b)
    if only_a + only_b == 0:
        assert ours is None
    else:
        theirs = theirs_mcnemar([[7, only_a], [only_b, 2]], exact=True)
        assert (ours.statistic, ours.p_value) == (theirs.statistic, pytest.approx(theirs.pvalue))


LABELS = [UNK, UNK, MOD, MOD, NOT, NOT, NOT, RUN] * 6
FIRST = [UNK, NOT, MOD, NOT, NOT, NOT, UNK, RUN] * 6
SECOND = [UNK, UNK, MOD, MOD, NOT, NOT, UNK, RUN] * 6
OWNERS = [f"o/{i // 4}" for i in range(48)]


def differing(first=FIRST, second=SECOND, owners=OWNERS):
    return pd.DataFrame(
        {"repository": owners, "label": LABELS, "placement_a": first, "placement_b": second}
    )


def test_the_difference_is_that_of_the_two_figures():
    interval = difference_of_weighted_f1(differing(), 0.95)
    expected = [weighted_f1(counts(confusion(LABELS, placed))) for placed in (SECOND, FIRST)]
    assert interval.estimate == pytest.approx(expected[0] - expected[1])
    assert 0 < interval.low < interval.estimate < interval.high
    back = difference_of_weighted_f1(differing(SECOND, FIRST), 0.95)
    assert (back.low, back.high) == pytest.approx((-interval.high, -interval.low))


def test_the_bootstrap_is_the_same_each_time_and_draws_whole_repositories():
    assert difference_of_weighted_f1(differing(), 0.9) == difference_of_weighted_f1(
        differing(), 0.9
    )
    # each repository holds the same: no draw of them differs from another
    same = difference_of_weighted_f1(differing(owners=[f"o/{i // 8}" for i in range(48)]), 0.9)
    assert same.low == pytest.approx(same.estimate) == pytest.approx(same.high)


def test_the_bootstrap_weighs_snippets():
    weights = np.where(np.array(LABELS) == MOD, 1e-6, 1.0)
    without = differing()[np.array(LABELS) != MOD]
    ours = difference_of_weighted_f1(differing(), 0.9, weights)
    assert ours.estimate == pytest.approx(
        difference_of_weighted_f1(without, 0.9).estimate, abs=1e-4
    )


@pytest.mark.parametrize(
    "rows", [differing(second=FIRST), differing(owners=["o/one"] * 48)], ids=["alike", "one"]
)
def test_where_nothing_can_be_told_there_is_no_interval(rows):
    assert difference_of_weighted_f1(rows, 0.9) is None


def test_only_snippets_with_equal_code_are_compared():
    a, b = run_of([UNK, NOT, MOD]), run_of([UNK, UNK, MOD, MOD])
    b.loc[2, "code_sha256"] = "changed"
    comparison = compare(a, b)
    assert (comparison.common, comparison.only) == (2, (1, 2))
    assert comparison.moves.loc[NOT, UNK] == comparison.moves.loc[UNK, UNK] == 1
    assert comparison.moves.to_numpy().sum() == 2


def test_an_unplaced_snippet_moves_but_takes_no_part_in_kappa():
    comparison = compare(run_of([UNK, NOT, None], "abc"), run_of([UNK, None, None], "abc"))
    assert (comparison.common, comparison.placed, comparison.agreement) == (3, 1, 1.0)
    assert (
        comparison.moves.loc[NOT, "unplaced"] == comparison.moves.loc["unplaced", "unplaced"] == 1
    )


def test_runs_of_which_nothing_is_placed_can_be_compared():
    comparison = compare(run_of([None, None], "ab"), run_of([NOT, None], "ab"))
    assert (comparison.placed, comparison.kappa, comparison.bowker) == (0, None, None)
    assert "0 placed in both" in "\n".join(comparison.lines())


def test_right_and_wrong_against_gold():
    comparison = compare(run_of(FIRST, OWNERS), run_of(SECOND, OWNERS), gold_of(LABELS, OWNERS))
    assert comparison.gold.right == (30, 0, 12, 6)
    assert comparison.gold.mcnemar.p_value == pytest.approx(2 / 2**12)
    assert comparison.gold.population is None
    strata = {"sampling_stratum": "s", "stratum_size": "96", "stratum_sampled": "48"}
    weighted = compare(
        run_of(FIRST, OWNERS), run_of(SECOND, OWNERS), gold_of(LABELS, OWNERS, **strata)
    )
    assert weighted.gold.population == weighted.gold.difference  # all weights are equal


@pytest.mark.parametrize(
    ("second", "labels", "error"),
    [
        (run_of([UNK], text="other"), None, ArtifactError),
        (run_of([UNK]), Gold(gold_of([UNK]).rows.assign(path="b.py"), 0), GoldError),
    ],
    ids=["nothing in common", "gold about others"],
)
def test_nothing_to_compare_is_an_error(second, labels, error):
    with pytest.raises(error, match=r"^Expected .* found none"):
        compare(run_of([UNK]), second, labels)


def test_as_text_and_as_json(golden):
    comparison = compare(
        run_of([*FIRST, NOT, None], [*OWNERS, "o/x", "o/y"]),
        run_of([*SECOND, None, None], [*OWNERS, "o/x", "o/y"]),
        gold_of(LABELS, OWNERS),
        names=("runs/one (judge rules)", "runs/two (judge rules)"),
    )
    lines = list(comparison.lines())
    assert max(map(len, lines)) <= 100
    golden("comparison.txt", "\n".join(lines) + "\n")
    fields = comparison.to_json()
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    for interval in (fields["kappa"], fields["gold"]["difference"]):
        assert {"estimate", "low", "high", "method", "n", "assumption"} < set(interval)
    for test in (fields["bowker"], fields["gold"]["mcnemar"]):
        assert {"statistic", "p_value", "method", "n", "assumption"} < set(test)
