import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from classify.agreement import agreements, cohen_kappa, krippendorff_alpha, share_agreed


def readers(*rows):
    """One string a reader, one character a snippet; a dot is a missing label."""
    return pd.DataFrame(
        {str(n): [None if c == "." else c for c in row] for n, row in enumerate(rows)}, dtype=object
    )


# the worked examples A, B and C of Krippendorff (2011), Computing Krippendorff's Alpha-Reliability
WORKED = [
    ("two readers, two categories", ("0100000010", "1110010000"), 0.095),
    ("two readers, five categories", ("aabbdcccedda", "babbbccceddd"), 0.692),
    ("four readers, missing labels", ("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "alpha"), [w[1:] for w in WORKED], ids=[w[0] for w in WORKED])
def test_alpha_of_worked_examples(rows, alpha):
    assert krippendorff_alpha(readers(*rows)) == pytest.approx(alpha, abs=5e-4)


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
@given(PAIRS)
def test_kappa_is_that_of_scikit_learn_and_statsmodels(pairs):
    first, second = ("".join(column) for column in zip(*pairs, strict=True))
    ours = cohen_kappa(readers(first, second))
    if len({*first, *second}) == 1:
        assert np.isnan(ours)
        return
    assert ours == pytest.approx(cohen_kappa_score(list(first), list(second)), abs=1e-9)
    table, _ = to_table(np.array([[ord(c) for c in pair] for pair in pairs]))
    assert ours == pytest.approx(cohens_kappa(table).kappa, abs=1e-9)
    assert share_agreed(readers(first, second)) == np.mean([a == b for a, b in pairs])


@given(st.lists(st.text("ab.", min_size=4, max_size=4), min_size=2, max_size=4), st.randoms())
def test_alpha_knows_no_order_and_is_at_most_1(rows, random):
    labels = readers(*rows)
    alpha = krippendorff_alpha(labels)
    names, places = list(labels.columns), list(labels.index)
    random.shuffle(names)
    random.shuffle(places)
    assert krippendorff_alpha(labels.loc[places, names]) == pytest.approx(alpha, nan_ok=True)
    assert np.isnan(alpha) or alpha <= 1
    unread = pd.concat([labels, pd.DataFrame([[None] * len(rows)], columns=labels.columns)])
    assert krippendorff_alpha(unread) == pytest.approx(alpha, nan_ok=True)


@given(st.text("ab", min_size=3, max_size=8))
def test_full_agreement_is_1_where_there_is_something_to_agree_on(row):
    found = krippendorff_alpha(readers(row, row, row))
    assert np.isnan(found) if len(set(row)) == 1 else found == 1


TWO = readers("aabbabababbb" * 5, "aabbabbbabab" * 5)


def test_each_pair_of_readers_has_its_own_figures():
    found = agreements(pd.concat([TWO, TWO["0"].rename("2")], axis=1), None, 0.95, 0)
    assert [(a.measure, a.readers) for a in found] == [
        ("krippendorff_alpha", ("0", "1", "2")),
        *((m, p) for p in (("0", "1"), ("0", "2"), ("1", "2")) for m in ("share_agreed", "cohen_kappa")),
    ]  # fmt: skip
    same = found[4].interval
    assert (same.estimate, same.low, same.high) == (1, 1, 1)
    assert found[1].interval.estimate == pytest.approx(50 / 60)


def test_the_interval_of_a_share_is_about_the_binomial_one():
    share = agreements(TWO, None, 0.95, 0)[1].interval
    half_width = 1.96 * np.sqrt(share.estimate * (1 - share.estimate) / 60)
    assert share.low == pytest.approx(share.estimate - half_width, abs=0.02)
    assert share.high == pytest.approx(share.estimate + half_width, abs=0.02)
    assert (share.n, share.method) == (60, "bootstrap_percentile")


def test_clusters_of_equal_snippets_widen_the_interval():
    clusters = [n // 5 for n in range(60)]  # five copies of one snippet in each repository
    copied = TWO.iloc[[n // 5 for n in range(60)]].reset_index(drop=True)
    apart, together = (agreements(copied, c, 0.95, 0)[1].interval for c in (None, clusters))
    assert apart.estimate == together.estimate
    assert together.high - together.low > 1.8 * (apart.high - apart.low)
    assert together.n == 12
    assert "repositories" in together.assumption


def test_a_seed_gives_the_same_interval_twice():
    assert agreements(TWO, None, 0.9, 7) == agreements(TWO, None, 0.9, 7)
    assert agreements(TWO, None, 0.9, 7) != agreements(TWO, None, 0.9, 8)


@pytest.mark.parametrize("rows", [("aaa", "aaa"), ("a..", ".ab"), ("...", "...")])
def test_no_interval_where_the_measure_is_undefined(rows):
    assert agreements(readers(*rows), None, 0.95, 0)[0].interval is None
