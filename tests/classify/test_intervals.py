import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn.metrics import f1_score

from classify.intervals import (
    Strata,
    clustered_variance,
    interval_at,
    stratified_variance,
    weighted_f1_clustered,
    weighted_f1_stratified,
)
from classify.metrics import (
    CATEGORIES,
    LOSSES,
    UNPLACED,
    confusion,
    linearised_weighted_f1,
    normal_quantile,
    weighted_f1_delta,
    wilson,
)

RUN, MOD, BOTH, UNK, NOT = CATEGORIES
PLACES = [*CATEGORIES, UNPLACED]
confidences = st.floats(0.5, 0.99)
drawn = st.lists(
    st.tuples(
        st.sampled_from(CATEGORIES), st.sampled_from([*CATEGORIES, None]), st.sampled_from("abc")
    ),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({row[2] for row in rows}) > 1)


def strata_of(names, size, n=None):
    """Strata of snippets by name; ``size`` and ``n`` are by name, n by default all at hand."""
    known = sorted(size)
    n = n or {name: list(names).count(name) for name in known}
    return Strata(
        np.array([known.index(name) for name in names]),
        np.array([size[name] for name in known], dtype=float),
        np.array([n[name] for name in known], dtype=float),
    )


def whole(names, factor=3):
    return strata_of(names, {name: factor * list(names).count(name) for name in set(names)})


# --- clustered by repository


@given(drawn, confidences)
def test_a_repository_for_each_snippet_is_the_delta_method_but_for_degrees_of_freedom(rows, level):
    actual, placed, _ = zip(*rows, strict=True)
    n = len(rows)
    clustered = weighted_f1_clustered(actual, placed, map(str, range(n)), level)
    delta = weighted_f1_delta(confusion(actual, placed), level)
    shrink = (normal_quantile(level) / student.ppf((1 + level) / 2, n - 1)) ** 2
    certain = delta.estimate in (0, 1)
    assert clustered.estimate == pytest.approx(delta.estimate)
    if delta.n == n:  # no variance: neither method sees any
        assert clustered.n == pytest.approx(n * shrink, rel=1e-6) or not certain
    else:
        assert clustered.n == pytest.approx(delta.n * (n - 1) / n * shrink, rel=1e-6)


@given(drawn, confidences)
def test_clustered_intervals_hold_the_estimate(rows, level):
    actual, placed, repositories = zip(*rows, strict=True)
    interval = weighted_f1_clustered(actual, placed, repositories, level)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert "repositories" in interval.assumption


def test_the_clustered_variance_is_that_of_repositories_drawn_anew():
    rng = np.random.default_rng(7)
    cells = rng.dirichlet(np.full(30, 0.3), size=60)
    true, placed = np.divmod(np.array([rng.choice(30, size=8, p=p) for p in cells]), 6)
    counts = np.zeros((60, 30))
    np.add.at(counts, (np.arange(60)[:, None], true * 6 + placed), 1)
    resampled = rng.multinomial(60, np.full(60, 1 / 60), size=4000) @ counts
    simulated = np.var(
        [linearised_weighted_f1(r.reshape(5, 6) / r.sum())[0] for r in resampled], ddof=1
    )
    total = counts.sum(axis=0).reshape(5, 6) / counts.sum()
    estimate, gradient = linearised_weighted_f1(total)
    scores = (gradient - estimate)[true, placed].ravel() / true.size
    variance = clustered_variance(scores, map(str, np.repeat(np.arange(60), 8)))
    assert variance == pytest.approx(simulated, rel=0.12)


def test_copies_within_a_repository_tell_nothing_new():
    rows = [(MOD, MOD, "a"), (UNK, NOT, "b"), (NOT, NOT, "c"), (RUN, RUN, "d"), (UNK, UNK, "e")]
    once = weighted_f1_clustered(*zip(*rows, strict=True), 0.9)
    often = weighted_f1_clustered(*zip(*rows * 9, strict=True), 0.9)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


@pytest.mark.parametrize(("placed", "estimate"), [(MOD, 1.0), (RUN, 0.0)])
def test_where_all_is_right_each_repository_counts_once(placed, estimate):
    interval = weighted_f1_clustered([MOD] * 20, [placed] * 20, "abcde" * 4, 0.95)
    shrink = (normal_quantile(0.95) / student.ppf(0.975, 4)) ** 2
    assert (interval.estimate, interval.n) == (estimate, pytest.approx(5 * shrink))


# --- drawn by stratum


@given(drawn, st.data())
def test_the_weighted_estimate_is_that_of_scikit_learn(rows, data):
    actual, placed, names = zip(*rows, strict=True)
    size = {name: names.count(name) + data.draw(st.integers(0, 500)) for name in set(names)}
    strata = strata_of(names, size)
    for of in (CATEGORIES, LOSSES):
        counted = [i for i, label in enumerate(actual) if label in of]
        if not counted:
            continue
        interval = weighted_f1_stratified(actual, placed, strata, 0.9, of)
        theirs = f1_score(
            [actual[i] for i in counted],
            [placed[i] or UNPLACED for i in counted],
            labels=list(CATEGORIES),
            average="weighted",
            sample_weight=strata.weights[counted],
            zero_division=0,
        )
        assert interval.estimate == pytest.approx(theirs, abs=1e-9)
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


def test_without_a_prior_the_variance_is_that_of_the_textbook():
    values = np.array([0.2, -0.1, 0.4, 0.0, 0.3])
    strata = strata_of("aaabb", {"a": 12, "b": 9})
    expected = sum(
        len(part) * np.var(part, ddof=1) * (1 - len(part) / size)
        for part, size in ((values[:3], 12), (values[3:], 9))
    )
    possible = np.tile(values[:, None], (1, 5))
    assert stratified_variance(values, possible, strata, prior=0) == pytest.approx(expected)


def test_the_stratified_variance_is_that_of_repeated_draws():
    rng = np.random.default_rng(11)
    sizes, n = {"a": 300, "b": 60}, {"a": 30, "b": 20}
    population = {name: rng.normal(size=size) for name, size in sizes.items()}
    names = ["a"] * n["a"] + ["b"] * n["b"]
    strata = strata_of(names, sizes)
    sums, variances = [], []
    for _ in range(3000):
        values = np.concatenate(
            [rng.choice(population[s], n[s], replace=False) * sizes[s] / n[s] for s in "ab"]
        )
        sums.append(values.sum())
        variances.append(stratified_variance(values, np.tile(values[:, None], 5), strata, prior=0))
    assert np.mean(variances) == pytest.approx(np.var(sums), rel=0.1)


def test_a_stratum_labelled_whole_is_certain():
    interval = weighted_f1_stratified([MOD, NOT, UNK], [MOD, NOT, NOT], whole("aab", 1), 0.95)
    assert interval.low == interval.estimate == interval.high
    assert math.isinf(interval.n)


def test_a_heavy_stratum_without_errors_is_not_certain():
    actual, placed = [NOT] * 20 + [UNK, UNK, MOD, RUN], [NOT] * 20 + [UNK, UNK, MOD, NOT]
    names = "h" * 20 + "llll"
    light, heavy = (
        weighted_f1_stratified(actual, placed, strata_of(names, {"h": h, "l": 8}), 0.95, LOSSES)
        for h in (40, 4000)
    )
    assert light.estimate == heavy.estimate
    assert heavy.low < light.low - 0.1


def test_snippets_of_other_categories_are_part_of_the_sample():
    few, many = (
        weighted_f1_stratified(
            [UNK, UNK, MOD] + [NOT] * n,
            [UNK, NOT, MOD] + [NOT] * n,
            strata_of("s" * (3 + n), {"s": 5000}),
            0.95,
            LOSSES,
        )
        for n in (5, 500)
    )
    assert few.estimate == pytest.approx(many.estimate)
    assert many.high - many.low < few.high - few.low


def test_snippets_that_are_not_at_hand_stay_in_the_sample():
    rows = [(UNK, UNK), (UNK, NOT), (NOT, NOT), (NOT, NOT), (MOD, MOD)]
    actual, placed = zip(*rows, strict=True)
    part = weighted_f1_stratified(actual, placed, strata_of("s" * 5, {"s": 1000}, {"s": 50}), 0.95)
    alone = weighted_f1_stratified(actual, placed, strata_of("s" * 5, {"s": 1000}), 0.95)
    assert part.estimate == alone.estimate
    assert part.n == pytest.approx(alone.n, rel=0.4)  # a part's size is random, but no more


@given(drawn)
def test_other_repositories_are_no_less_uncertain_when_each_is_one_kind(rows):
    actual, placed, repositories = zip(*rows, strict=True)
    strata = whole(repositories)
    interval = weighted_f1_stratified(actual, placed, strata, 0.95, CATEGORIES, repositories)
    assert interval.method == "wilson_stratified_clustered"
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert "stratum" in interval.assumption
    assert "repositories" in interval.assumption


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weighted_f1_clustered([MOD, NOT], [MOD, NOT], "aa", 0.9), "two repositories"),
        (lambda: weighted_f1_clustered([], [], "", 0.9), "two repositories"),
        (lambda: weighted_f1_clustered([MOD, "loss"], [MOD, NOT], "ab", 0.9), "'loss'"),
        (lambda: weighted_f1_stratified([NOT], [NOT], whole("a"), 0.9, LOSSES), "found none"),
    ],
)
def test_what_has_no_interval_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(st.floats(0.01, 0.99), st.floats(1e-5, 0.02), confidences)
def test_the_effective_size_is_that_of_a_proportion_with_the_same_variance(p, variance, level):
    ours = interval_at(p, variance, level, "m", "a")
    assert ours.n == pytest.approx(p * (1 - p) / variance)
    theirs = wilson(p, ours.n, level)
    assert (ours.low, ours.high) == (theirs.low, theirs.high)
