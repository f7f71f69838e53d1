import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from classify.intervals import Strata
from classify.metrics import CATEGORIES, UNPLACED
from classify.prevalence import (
    ANY_LOSS,
    SHARES,
    corrected_shares,
    rogan_gladen,
    transferred_shares,
)

RUN, MOD, BOTH, UNK, NOT = CATEGORIES


def corrected(pairs, placed, strata=None, confidence=0.95):
    return corrected_shares(*zip(*pairs, strict=True), placed, strata, confidence)


# 10 of 12 unknown are right, 1 is a model, 1 is none; 3 of 40 none are losses
PAIRS = (
    [(UNK, UNK)] * 10
    + [(MOD, UNK), (NOT, UNK)]
    + [(UNK, NOT)] * 2
    + [(RUN, NOT)]
    + [(NOT, NOT)] * 37
)
PLACED = {UNK: 100, NOT: 4900}


@pytest.mark.parametrize(
    ("category", "share"),
    [
        (UNK, 0.02 * 10 / 12 + 0.98 * 2 / 40),
        (MOD, 0.02 / 12),
        (RUN, 0.98 / 40),
        (BOTH, 0),
        (NOT, 0.02 / 12 + 0.98 * 37 / 40),
        (ANY_LOSS, 0.02 * 11 / 12 + 0.98 * 3 / 40),
    ],
)
def test_what_is_known_of_a_placement_is_carried_over_to_all_of_it(category, share):
    interval = corrected(PAIRS, PLACED)[category]
    assert interval.estimate == pytest.approx(share)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.low < interval.high
    assert "random sample" in interval.assumption


def test_the_variance_is_about_that_of_the_formula():
    shares = corrected([pair for pair in PAIRS for _ in range(20)], {UNK: 10**6, NOT: 49 * 10**6})
    expected = 0.02**2 * (10 / 12) * (2 / 12) / (240 - 1) + 0.98**2 * (2 / 40) * (38 / 40) / (
        800 - 1
    )
    p = shares[UNK].estimate
    assert p * (1 - p) / shares[UNK].n == pytest.approx(expected, rel=0.05)


def test_the_corrected_shares_of_repeated_labelling_spread_as_said():
    rng = np.random.default_rng(5)
    truth = {UNK: [0.02, 0.03, 0, 0.85, 0.1], NOT: [0, 0.01, 0, 0.05, 0.94]}
    held, estimates = 0, []
    for _ in range(400):
        pairs = [
            (CATEGORIES[i], place)
            for place, n in ((UNK, 40), (NOT, 160))
            for i in rng.choice(5, size=n, p=truth[place])
        ]
        share = corrected(pairs, {UNK: 2_000, NOT: 18_000})[UNK]
        held += share.low <= 0.1 * 0.85 + 0.9 * 0.05 <= share.high
        estimates.append(share.estimate)
    assert np.mean(estimates) == pytest.approx(0.13, abs=0.003)
    assert 0.92 <= held / 400 <= 0.99


rows = st.lists(
    st.tuples(st.sampled_from(CATEGORIES), st.sampled_from([*CATEGORIES, None])), min_size=1
)


@given(rows, st.integers(1, 50))
def test_shares_add_up(pairs, factor):
    placed = {name or UNPLACED: 0 for _, name in pairs}
    for _, name in pairs:
        placed[name or UNPLACED] += factor
    shares = corrected(pairs, placed)
    assert set(shares) == set(SHARES)
    estimates = {name: share.estimate for name, share in shares.items()}
    assert sum(estimates[c] for c in CATEGORIES) == pytest.approx(1)
    assert estimates[ANY_LOSS] == pytest.approx(1 - estimates[NOT])
    for category, share in shares.items():
        truly = sum(label in SHARES[category] for label, _ in pairs) / len(pairs)
        assert share.estimate == pytest.approx(truly)  # the run is the sample, times factor
        assert 0 <= share.low <= share.estimate <= share.high <= 1
        assert (share.low == share.high) == (factor == 1)


def test_strata_weigh_within_a_placement():
    pairs = [(UNK, NOT), (NOT, NOT), (NOT, NOT), (UNK, UNK)]
    strata = Strata(np.array([0, 1, 1, 0]), np.array([2.0, 400.0]), np.array([2.0, 2.0]))
    share = corrected(pairs, {NOT: 90, UNK: 10}, strata)[UNK]
    assert share.estimate == pytest.approx(0.9 * 1 / 401 + 0.1)


@pytest.mark.parametrize("placed", [{UNK: 5, NOT: 10, MOD: 1}, {}])
def test_a_placement_without_a_label_cannot_be_corrected(placed):
    assert corrected(PAIRS, placed) == {}


def test_unplaced_snippets_without_a_label_are_left_out():
    assert corrected(PAIRS, {**PLACED, UNPLACED: 700}) == corrected(PAIRS, PLACED)
    shares = corrected([*PAIRS, (UNK, None)], {**PLACED, UNPLACED: 5000})
    assert shares[UNK].estimate > 0.5


# --- transfer to another corpus


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0.5, 0.99))
def test_a_judge_known_never_to_err_leaves_the_interval_of_agresti_and_coull(k, more, level):
    n = k + more
    ours = rogan_gladen(k / n, n, 1.0, 1e12, 1.0, 1e12, level)
    low, high = proportion_confint(k, n, 1 - level, method="agresti_coull")
    assert ours.estimate == pytest.approx(k / n)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-6)


@given(*[st.floats(0, 1)] * 3, st.integers(1, 10**5), st.integers(1, 500), st.integers(1, 500))
def test_rogan_gladen_inverts_the_errors(p, se, sp, n, n_se, n_sp):
    apparent = p * se + (1 - p) * (1 - sp)
    interval = rogan_gladen(apparent, n, se, n_se, sp, n_sp, 0.95)
    if se + sp <= 1:
        assert interval is None
    elif interval is not None:
        if se + sp > 1.001:
            assert interval.estimate == pytest.approx(p, abs=1e-6)
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert "this corpus" in interval.assumption


def test_the_interval_of_lang_and_reiczigel_holds_the_truth():
    rng = np.random.default_rng(3)
    p, se, sp = 0.1, 0.85, 0.97
    held = 0
    for _ in range(1000):
        interval = rogan_gladen(
            rng.binomial(2000, p * se + (1 - p) * (1 - sp)) / 2000,
            *(2000, rng.binomial(60, se) / 60, 60, rng.binomial(180, sp) / 180, 180, 0.95),
        )
        held += interval.low <= p <= interval.high
    assert 0.93 <= held / 1000 <= 0.99


def test_transfer_uses_error_rates_and_not_frequencies():
    shares = transferred_shares(*zip(*PAIRS, strict=True), {UNK: 300, NOT: 700}, None, 0.95)
    se, sp = 11 / 14, 37 / 38
    assert shares[ANY_LOSS].estimate == pytest.approx((0.3 + sp - 1) / (se + sp - 1))
    assert BOTH not in shares  # no label is of it
    assert MOD not in shares  # never seen where it is
    assert shares[ANY_LOSS].n == pytest.approx(14 + 38)


def test_transfer_with_strata_weighs_the_error_rates():
    pairs = [(UNK, UNK), (UNK, NOT), (NOT, NOT), (NOT, NOT), (UNK, UNK)]
    strata = Strata(np.array([0, 1, 1, 0, 0]), np.array([30.0, 60.0]), np.array([3.0, 2.0]))
    share = transferred_shares(*zip(*pairs, strict=True), {UNK: 10, NOT: 90}, strata, 0.95)[UNK]
    sensitivity = 20 / 50  # two of weight 10 seen, one of weight 30 not
    assert share.estimate == pytest.approx(0.1 / sensitivity)
