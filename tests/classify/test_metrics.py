from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from statsmodels.stats.proportion import proportion_confint

from classify.metrics import (
    CATEGORIES,
    UNPLACED,
    F1Method,
    accuracy,
    balanced_accuracy,
    confusion,
    counts,
    coverage,
    f1_interval,
    linearised_weighted_f1,
    macro_f1,
    matthews,
    scores,
    weighted_f1,
    weighted_f1_delta,
    weighted_f1_wilson,
    wilson,
)

RUN, MOD, BOTH, UNK, NOT = CATEGORIES
METHODS = get_args(F1Method)

labelled = st.lists(
    st.tuples(st.sampled_from(CATEGORIES), st.sampled_from([*CATEGORIES, None])), min_size=1
)
confidences = st.floats(0.01, 0.999)
some_counts = st.tuples(*[st.integers(0, 60)] * 3).filter(any)


def matrix_of(pairs):
    return confusion(*zip(*pairs, strict=True))


# --- confusion, counts, scores


def test_confusion_has_all_categories_in_fixed_order():
    matrix = matrix_of([(UNK, MOD), (UNK, None), (RUN, RUN)])
    assert list(matrix.index) == list(CATEGORIES)
    assert list(matrix.columns) == [*CATEGORIES, UNPLACED]
    assert matrix.loc[UNK].to_dict() == {RUN: 0, MOD: 1, BOTH: 0, UNK: 0, NOT: 0, UNPLACED: 1}
    assert matrix.to_numpy().sum() == 3


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_placement_is_unplaced_and_never_no_loss(missing):
    table = counts(confusion([MOD, NOT], [missing, NOT]))
    assert table.loc[MOD].to_dict() == {"tp": 0, "tn": 1, "fp": 0, "fn": 1}
    assert table.loc[NOT].to_dict() == {"tp": 1, "tn": 1, "fp": 0, "fn": 0}


@pytest.mark.parametrize(
    ("actual", "predicted", "message"),
    [
        ([UNPLACED], [NOT], "'unplaced'"),
        ([NOT], ["loss_somewhere"], "'loss_somewhere'"),
        ([NOT], [], "1 true labels, but 0"),
    ],
)
def test_confusion_refuses(actual, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion(actual, predicted)


@given(labelled)
def test_the_four_counts_of_each_category_add_up(pairs):
    assert (counts(matrix_of(pairs)).sum(axis=1) == len(pairs)).all()


@pytest.mark.filterwarnings("ignore:A single label")
@given(labelled)
def test_scores_are_those_of_scikit_learn(pairs):
    actual = [a for a, _ in pairs]
    predicted = [p or UNPLACED for _, p in pairs]
    matrix = matrix_of(pairs)
    table = counts(matrix)
    *theirs, support = sklearn.precision_recall_fscore_support(
        actual, predicted, labels=list(CATEGORIES), zero_division=0
    )
    ours = scores(table)
    np.testing.assert_allclose(ours[["precision", "recall", "f1"]].T, theirs)
    np.testing.assert_array_equal(ours["support"], support)
    for average, ours_mean, labels in (
        ("weighted", weighted_f1(table), list(CATEGORIES)),
        ("macro", macro_f1(table), sorted(set(actual))),
    ):
        mean = sklearn.f1_score(actual, predicted, labels=labels, average=average, zero_division=0)
        assert ours_mean == pytest.approx(mean)
    assert accuracy(matrix) == pytest.approx(sklearn.accuracy_score(actual, predicted))
    recalls = sklearn.recall_score(
        actual, predicted, labels=sorted(set(actual)), average="macro", zero_division=0
    )
    assert balanced_accuracy(matrix) == pytest.approx(recalls)
    assert matthews(matrix) == pytest.approx(sklearn.matthews_corrcoef(actual, predicted), abs=1e-9)
    assert coverage(matrix) == pytest.approx(sum(p is not None for _, p in pairs) / len(pairs))


@pytest.mark.parametrize(
    "figure",
    [
        lambda m: weighted_f1(counts(m)),
        lambda m: macro_f1(counts(m)),
        accuracy,
        balanced_accuracy,
        matthews,
        coverage,
        lambda m: weighted_f1_wilson(m, 0.9),
        lambda m: weighted_f1_delta(m, 0.9),
    ],
)
def test_nothing_labelled_has_no_figures(figure):
    with pytest.raises(ValueError, match="found none"):
        figure(confusion([], []))


# --- Wilson's interval of a proportion


@given(st.integers(1, 500), st.data(), confidences)
def test_wilson_is_that_of_statsmodels(n, data, confidence):
    k = data.draw(st.integers(0, n))
    ours = wilson(k / n, n, confidence)
    low, high = proportion_confint(k, n, 1 - confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-12)


@given(st.floats(0, 1), st.floats(0.5, 1e6), confidences)
def test_wilson_contains_the_proportion_and_mirrors(p, n, confidence):
    interval, mirrored = wilson(p, n, confidence), wilson(1 - p, n, confidence)
    assert 0 <= interval.low <= p <= interval.high <= 1
    assert (interval.low, interval.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))
    assert interval.centre - interval.half_width == pytest.approx(interval.low)


@pytest.mark.parametrize(
    ("p", "n", "confidence"), [(-0.1, 5, 0.9), (1.1, 5, 0.9), (0.5, 0, 0.9), (0.5, 5, 1)]
)
def test_wilson_refuses(p, n, confidence):
    with pytest.raises(ValueError, match="expected"):
        wilson(p, n, confidence)


# --- F1 of one category


@pytest.mark.parametrize(
    ("method", "low", "high"),
    [
        ("clopper_pearson", 0.7300, 0.8572),
        ("wald", 0.7393, 0.8607),
        ("wilson_indirect", 0.7328, 0.8537),
        ("wilson_direct", 0.7285, 0.8516),
    ],
)
def test_f1_intervals_of_the_worked_example(method, low, high):
    interval = f1_interval(80, 15, 25, 0.95, method)
    assert interval.estimate == 0.8
    assert (interval.method, interval.n) == (method, 120)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_f1_interval_is_wilson_indirect_unless_told_otherwise():
    assert f1_interval(8, 1, 2, 0.9) == f1_interval(8, 1, 2, 0.9, "wilson_indirect")


@pytest.mark.parametrize("method", METHODS)
@given(some_counts, confidences, confidences)
def test_f1_intervals_hold_the_estimate_and_widen_with_confidence(method, cells, first, second):
    narrow, wide = (f1_interval(*cells, c, method) for c in sorted((first, second)))
    assert 0 <= narrow.low <= narrow.estimate + 1e-9
    assert narrow.estimate - 1e-9 <= narrow.high <= 1
    assert wide.low <= narrow.low + 1e-9
    assert narrow.high <= wide.high + 1e-9


@pytest.mark.parametrize("method", METHODS)
@given(some_counts, confidences)
def test_f1_intervals_do_not_tell_false_positives_from_false_negatives(method, cells, confidence):
    tp, fp, fn = cells
    assert f1_interval(tp, fp, fn, confidence, method) == f1_interval(
        tp, fn, fp, confidence, method
    )


@given(some_counts, confidences)
def test_clopper_pearson_is_that_of_statsmodels(cells, confidence):
    ours = f1_interval(*cells, confidence, "clopper_pearson")
    bounds = proportion_confint(cells[0], sum(cells), 1 - confidence, method="beta")
    assert (ours.low, ours.high) == pytest.approx([2 * j / (1 + j) for j in bounds])


@given(some_counts, confidences)
def test_wilson_direct_solves_its_equation(cells, confidence):
    interval = f1_interval(*cells, confidence, "wilson_direct")
    for bound in (interval.low, interval.high):
        spread = bound * (1 - bound) * (2 - bound) ** 2 / (2 * interval.n)
        # z, taken from a method that another test holds against a library
        z2 = ((wilson(0, 1, confidence).high) ** -1 - 1) ** -1
        assert (interval.estimate - bound) ** 2 == pytest.approx(z2 * spread, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("cells", "low", "high"), [((0, 3, 4), 0.0, None), ((7, 0, 0), None, 1.0)])
def test_f1_intervals_of_all_wrong_and_all_right(method, cells, low, high):
    interval = f1_interval(*cells, 0.9, method)
    assert interval.low == low if low is not None else 0 < interval.low <= 1
    assert interval.high == high if high is not None else 0 <= interval.high < 1


@pytest.mark.parametrize(
    ("cells", "confidence", "method"),
    [
        ((0, 0, 0), 0.9, "wald"),
        ((5, -1, 0), 0.9, "wald"),
        ((5, 1, 0), 0, "wald"),
        ((5, 1, 0), 0.9, "bootstrap"),
    ],
)
def test_f1_interval_refuses(cells, confidence, method):
    with pytest.raises(ValueError, match="expected"):
        f1_interval(*cells, confidence, method)


# --- weighted F1


def f1_of_shares(cells):
    """The weighted F1 as a function of unnormalised cells, written from its definition."""
    total = 0.0
    for i in range(len(CATEGORIES)):
        row, column = cells[i].sum(), cells[:, i].sum()
        total += 2 * row * cells[i, i] / (row + column) if row + column else 0.0
    return total


@given(st.lists(st.integers(1, 40), min_size=30, max_size=30))
def test_the_gradient_is_that_of_finite_differences(cells):
    shares = np.reshape(cells, (5, 6)) / sum(cells)
    estimate, gradient = linearised_weighted_f1(shares)
    assert estimate == pytest.approx(f1_of_shares(shares))
    step = 1e-6
    for i, j in np.ndindex(*shares.shape):
        up, down = shares.copy(), shares.copy()
        up[i, j] += step
        down[i, j] -= step
        slope = (f1_of_shares(up) - f1_of_shares(down)) / (2 * step)
        assert gradient[i, j] == pytest.approx(slope, abs=1e-6)


def test_the_delta_variance_is_that_of_repeated_samples():
    shares = np.array(
        [
            [0.08, 0.01, 0, 0.01, 0.02, 0.01],
            [0, 0.1, 0.01, 0.02, 0, 0],
            [0.01, 0.02, 0.05, 0, 0.01, 0.01],
            [0, 0.02, 0, 0.2, 0.05, 0.01],
            [0.01, 0.02, 0, 0.05, 0.27, 0.01],
        ]
    )
    n = 400
    draws = np.random.default_rng(20240220).multinomial(n, shares.ravel(), size=4000)
    simulated = np.var([f1_of_shares(d.reshape(5, 6) / n) for d in draws])
    matrix = matrix_of([(RUN, RUN)])
    matrix.iloc[:, :] = np.rint(shares * n).astype(int)
    interval = weighted_f1_delta(matrix, 0.95)
    variance = interval.estimate * (1 - interval.estimate) / interval.n
    assert variance == pytest.approx(simulated, rel=0.08)


@given(labelled, confidences)
def test_intervals_of_the_weighted_f1_hold_it(pairs, confidence):
    matrix = matrix_of(pairs)
    for interval in (weighted_f1_wilson(matrix, confidence), weighted_f1_delta(matrix, confidence)):
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert interval.estimate == pytest.approx(weighted_f1(counts(matrix)))
        assert "random sample" in interval.assumption


@pytest.mark.parametrize(("placed", "estimate"), [(MOD, 1.0), (RUN, 0.0), (None, 0.0)])
def test_without_variance_the_effective_size_is_the_size(placed, estimate):
    interval = weighted_f1_delta(confusion([MOD] * 7, [placed] * 7), 0.9)
    assert (interval.estimate, interval.n) == (estimate, 7)
    assert interval.half_width > 0
