import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.designs import Design, Within
from classify.metrics import CATEGORIES, UNPLACED, confusion, weighted_f1_delta
from classify.sampling import (
    Stratum,
    allocation,
    draw_random,
    draw_stratified,
    draw_thesis,
    half_width,
    kish,
    labels_needed,
    neyman,
    strata_of,
)

RUN, MOD, BOTH, UNK, NOT = CATEGORIES


def population(**sizes):
    """Snippets by placement, over five repositories: every second a method, else a function."""
    rows = [
        (f"o/r{n % 5}", n, placement, "method" if n % 2 else "function")
        for placement, size in sizes.items()
        for n in range(size)
    ]
    frame = pd.DataFrame(rows, columns=["repository", "start_line", "placement", "kind"])
    return frame.assign(placement=frame["placement"].where(frame["placement"] != UNPLACED))


CORPUS = population(loss_in_model=30, loss_unknown=20, no_loss=400, unplaced=3)

ALLOCATIONS = [
    ("by size", [100, 300], [1, 1], 40, [10, 30]),
    ("by deviation", [100, 100], [1, 3], 40, [10, 30]),
    ("no more than there are", [5, 100], [9, 1], 40, [5, 35]),
    ("at least two", [100, 100, 100], [0, 1, 1], 10, [2, 4, 4]),
    ("at least all of a small one", [1, 100], [0, 1], 10, [1, 9]),
    ("deviations of 0", [100, 300], [0, 0], 40, [10, 30]),
    ("fewer than go round", [10, 30, 20], [1, 1, 1], 3, [0, 2, 1]),
    ("more than there are", [3, 4], [1, 1], 100, [3, 4]),
    ("largest remainders", [10, 10, 10], [1, 1, 1], 10, [4, 3, 3]),
    ("nothing", [10, 10], [1, 1], 0, [0, 0]),
]


@pytest.mark.parametrize(
    ("sizes", "deviations", "n", "drawn"),
    [a[1:] for a in ALLOCATIONS],
    ids=[a[0] for a in ALLOCATIONS],
)
def test_neyman(sizes, deviations, n, drawn):
    assert neyman(sizes, deviations, n) == drawn


STRATA = st.lists(
    st.tuples(st.integers(0, 500), st.floats(0, 1, allow_subnormal=False)), min_size=1, max_size=8
)


@given(STRATA, st.integers(0, 1000))
def test_an_allocation_adds_up_within_its_bounds(strata, n):
    sizes, deviations = zip(*strata, strict=True)
    drawn = neyman(sizes, deviations, n)
    assert sum(drawn) == min(n, sum(sizes))
    assert all(0 <= d <= size for d, size in zip(drawn, sizes, strict=True))
    if n >= sum(min(2, size) for size in sizes):
        assert all(d >= min(2, size) for d, size in zip(drawn, sizes, strict=True))


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="negative"):
        neyman([-1, 3], [1, 1], 2)


def test_strata_with_guessed_and_with_measured_errors():
    guessed = strata_of(CORPUS)
    assert [(s.placement, s.part, s.size) for s in guessed] == [
        (MOD, "function", 15),
        (MOD, "method", 15),
        (UNK, "function", 10),
        (UNK, "method", 10),
        (NOT, "function", 200),
        (NOT, "method", 200),
        (UNPLACED, "function", 2),
        (UNPLACED, "method", 1),
    ]
    assert [round(s.error, 6) for s in guessed] == [0.2] * 4 + [0.02] * 2 + [1] * 2
    assert all(sum(s.true) == pytest.approx(1) for s in guessed)
    labelled = pd.DataFrame({"label": [NOT] * 6 + [UNK] * 2, "placement": [UNK] * 8})
    measured = {s.placement: s for s in strata_of(CORPUS, labelled)}
    assert measured[UNK].error == pytest.approx((6 + 2 * 0.2) / 10)
    assert measured[MOD].error == pytest.approx(0.2)


DRAWS = [
    (Design.RANDOM, lambda n, seed: draw_random(CORPUS, n, seed)),
    (
        Design.STRATIFIED,
        lambda n, seed: draw_stratified(
            CORPUS, strata_of(CORPUS), allocation(strata_of(CORPUS), n), seed
        ),
    ),
]


@pytest.mark.parametrize("draw", [d[1] for d in DRAWS], ids=[d[0] for d in DRAWS])
@settings(max_examples=30)
@given(n=st.integers(20, 450), seed=st.integers(0, 99))
def test_weights_of_a_sample_add_up_to_the_population(draw, n, seed):
    rows = draw(n, seed)
    assert len(rows) == n
    assert not rows.duplicated(["placement", "start_line"]).any()
    weights = rows["stratum_size"] / rows["stratum_sampled"]
    assert weights.sum() == pytest.approx(len(CORPUS))
    assert (weights * rows["inclusion_probability"]).to_numpy() == pytest.approx(1)
    of_stratum = rows.groupby("sampling_stratum")
    assert (of_stratum.size() == of_stratum["stratum_sampled"].first()).all()


def test_inclusion_probabilities_are_how_often_a_snippet_is_drawn():
    times = pd.Series(0, CORPUS.index)
    expected = None
    for seed in range(100):
        rows = draw_stratified(
            CORPUS.assign(place=CORPUS.index), strata_of(CORPUS), [5] * 6 + [2, 1], seed
        )
        times[rows["place"]] += 1
        expected = rows.groupby(["placement", "kind"])["inclusion_probability"].first()
    shares = (times / 100).groupby([CORPUS["placement"], CORPUS["kind"]]).mean()
    assert shares.loc[expected.index].to_numpy() == pytest.approx(expected.to_numpy())
    assert times[CORPUS["placement"] == MOD].between(8, 58).all()  # 100/3, five deviations


def test_the_thesis_takes_one_loss_of_each_repository():
    rows = draw_thesis(CORPUS, 3, 0)
    assert rows["repository"].nunique() == len(rows) == 3
    assert rows["placement"].isin([MOD, UNK]).all()
    assert rows["stratum_size"].tolist() == [10] * 3
    assert rows["inclusion_probability"].to_numpy() == pytest.approx(3 / 5 / 10)
    assert len(draw_thesis(CORPUS, 30, 0)) == 5


def test_a_seed_gives_the_same_sample_twice_and_another_another():
    drawn = [draw_random(CORPUS, 50, seed) for seed in (1, 1, 2)]
    assert drawn[0].equals(drawn[1])
    assert not drawn[0].equals(drawn[2])


def test_the_name_of_a_stratum_tells_nothing_of_the_placement():
    names = {
        draw_stratified(CORPUS, strata_of(CORPUS), [2] * 7 + [1], seed)
        .query("placement == 'no_loss'")["sampling_stratum"]
        .min()
        for seed in range(10)
    }
    assert len(names) > 3


def test_the_expected_half_width_is_that_of_such_labels():
    strata = strata_of(CORPUS[CORPUS["placement"].notna()])
    cells = [(c, s.placement, round(1000 * s.size * p)) for s in strata for c, p in zip(CATEGORIES, s.true, strict=True)]  # fmt: skip
    actual = np.repeat([c[0] for c in cells], [c[2] for c in cells])
    placed = np.repeat([c[1] for c in cells], [c[2] for c in cells])
    matrix = confusion(actual, placed)
    found = weighted_f1_delta(matrix, 0.95)
    size = 450_000  # of the matrix; the half-width goes with the root of n
    strata = [Stratum(s.placement, s.part, s.size * 1000, s.true) for s in strata]
    assert half_width(strata, 300, 0.95) == pytest.approx(found.half_width * np.sqrt(size / 300), rel=0.03)  # fmt: skip


@pytest.mark.parametrize("design", list(Design))
@pytest.mark.parametrize("wanted", [0.02, 0.05, 0.1])
def test_labels_needed_are_the_fewest(design, wanted):
    strata = strata_of(population(loss_in_model=300, loss_unknown=200, no_loss=4000))

    def expected(n):
        return half_width(strata, allocation(strata, n) if design is Design.STRATIFIED else n, 0.95)

    n = labels_needed(strata, design, wanted, 0.95)
    assert expected(n) <= wanted * 1.000001
    assert expected(n - 1) > wanted


def test_a_whole_population_leaves_nothing_to_guess():
    strata = strata_of(CORPUS)
    assert half_width(strata, len(CORPUS), 0.95) == 0
    assert half_width(strata, [s.size for s in strata], 0.95) == 0


def test_kish():
    assert kish([2, 2, 2]) == 1
    assert kish([1, 3]) == pytest.approx(2 * 10 / 16)


MARGINS = CORPUS.assign(margin=["unanimous", "clear", "close", "unanimous"] * (len(CORPUS) // 4) + ["close"] * (len(CORPUS) % 4))  # fmt: skip


def test_strata_by_vote_margin():
    strata = strata_of(MARGINS, within=Within.MARGIN)
    sizes = MARGINS.groupby([MARGINS["placement"].fillna("unplaced"), "margin"]).size()
    assert {(s.placement, s.part): s.size for s in strata} == sizes.to_dict()
    for placement in {s.placement for s in strata} - {"unplaced"}:
        errors = {s.part: s.error for s in strata if s.placement == placement}
        assert errors["unanimous"] < errors["clear"] < errors["close"] <= 0.5
        drawn = dict(zip(strata, allocation(strata, 60), strict=True))
        assert sum(drawn.values()) == 60


def test_error_rates_of_a_margin_are_measured_at_that_margin():
    labelled = pd.DataFrame(
        [("no_loss", "no_loss", "unanimous")] * 98 + [("loss_unknown", "no_loss", "close")] * 98,
        columns=["label", "placement", "margin"],
    )
    errors = {
        s.part: s.error
        for s in strata_of(MARGINS, labelled, Within.MARGIN)
        if s.placement == "no_loss"
    }
    assert errors["unanimous"] < 0.01
    assert errors["close"] > 0.98


def test_snippets_are_drawn_from_each_margin():
    strata = strata_of(MARGINS, within=Within.MARGIN)
    drawn = [min(2, s.size) for s in strata]
    rows = draw_stratified(MARGINS, strata, drawn, 1, Within.MARGIN)
    found = rows.groupby([rows["placement"].fillna("unplaced"), "margin"]).size()
    assert found.to_dict() == {(s.placement, s.part): n for s, n in zip(strata, drawn, strict=True)}
    assert rows.groupby("sampling_stratum")["margin"].nunique().eq(1).all()
