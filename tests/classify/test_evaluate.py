import json
from pathlib import Path

import pandas as pd
import pytest

from classify.errors import GoldError
from classify.evaluate import evaluate
from classify.gold import Gold, read_gold
from classify.metrics import CATEGORIES

RUN, MOD, BOTH, UNK, NOT = CATEGORIES
SHARED = Path(__file__).parents[2].parent / "shared" / "gold" / "dev.csv"


def sample(*pairs, contested=0, **columns):
    """A gold file and placements about the same snippets, from (label, placement) pairs."""
    keys = {"repository": "o/r", "path": "a.py", "start_line": range(1, len(pairs) + 1)}
    labels = pd.DataFrame({**keys, "label": [label for label, _ in pairs], **columns})
    placed = pd.DataFrame({**keys, "placement": pd.Series([p for _, p in pairs], dtype="str")})
    return Gold(labels, contested), placed


PUBLISHED = (
    [(RUN, RUN)] * 3
    + [(RUN, NOT)]
    + [(MOD, MOD)] * 5
    + [(BOTH, BOTH)]
    + [(BOTH, NOT)] * 2
    + [(UNK, UNK)] * 14
    + [(UNK, MOD)] * 2
    + [(UNK, NOT)] * 2
)


def test_the_published_sample_gives_the_published_numbers():
    evaluation = evaluate(*sample(*PUBLISHED), 0.9)
    for performance in evaluation.samples.values():
        wilson, _ = performance.weighted_f1
        assert (performance.n, round(wilson.estimate, 2)) == (30, 0.83)
        assert (round(wilson.centre, 2), round(wilson.half_width, 2)) == (0.80, 0.11)


def test_losses_are_measured_apart():
    evaluation = evaluate(*sample((MOD, MOD), (UNK, None), (NOT, NOT), (NOT, NOT), (NOT, RUN)))
    everything, losses = evaluation.samples.values()
    assert (everything.n, losses.n) == (5, 2)
    assert (everything.accuracy, losses.accuracy) == (0.6, 0.5)
    assert (everything.coverage, losses.coverage) == (0.8, 0.5)
    assert (everything.macro_f1, losses.macro_f1) == (pytest.approx((1 + 0 + 0.8) / 3), 0.5)
    assert losses.confusion.loc[NOT].sum() == 0
    assert set(everything.f1_intervals) == {RUN, MOD, UNK, NOT}
    assert set(losses.f1_intervals) == {MOD, UNK}


def test_a_judge_that_is_always_right():
    evaluation = evaluate(*sample(*[(c, c) for c in CATEGORIES] * 3))
    for performance in evaluation.samples.values():
        assert performance.weighted_f1[0].estimate == performance.macro_f1 == 1
        assert all(0 < i.low < i.high == 1 for i in performance.weighted_f1)


def test_what_takes_no_part_is_counted():
    gold, placed = sample((MOD, MOD), (NOT, NOT), (NOT, NOT), contested=4, commit="c1")
    placed = placed.iloc[:2].assign(commit=["c1", "c2"])
    evaluation = evaluate(gold, placed)
    assert evaluation.to_json()["gold"] == {
        "labelled": 3,
        "contested": 4,
        "matched": 2,
        "without_snippet": 1,
        "other_commit": 1,
    }
    text = "\n".join(evaluation.lines())
    assert "2 of 3 labelled snippets are in this run (1 are not, 4 contested" in text
    assert "1 were labelled in another commit" in text


def test_without_a_loss_there_are_no_figures_over_losses():
    evaluation = evaluate(*sample((NOT, NOT), (NOT, MOD)))
    assert evaluation.losses is None
    assert list(evaluation.to_json()["samples"]) == ["all"]
    assert "No labelled snippet of this run is a loss" in "\n".join(evaluation.lines())


@pytest.mark.parametrize("elsewhere", [{"repository": "o/other"}, {"path": "b.py"}])
def test_gold_about_other_snippets_is_an_error(elsewhere):
    gold, placed = sample((MOD, MOD))
    with pytest.raises(GoldError, match="found none among 1 labelled rows; check"):
        evaluate(gold, placed.assign(**elsewhere))


def test_nothing_labelled_is_an_error():
    gold, placed = sample((MOD, MOD))
    with pytest.raises(GoldError, match="found none among 0 labelled rows"):
        evaluate(Gold(gold.rows.iloc[:0], 2), placed)


def test_json_holds_every_figure_with_its_method_and_assumption():
    fields = evaluate(*sample(*PUBLISHED), 0.9).to_json()
    assert json.loads(json.dumps(fields)) == fields
    assert list(fields["samples"]) == ["all", "losses"]
    losses = fields["samples"]["losses"]
    assert set(losses["intervals"]) == {"wilson", "wilson_delta"}
    assert set(losses["categories"]) == set(losses["confusion"]) == set(CATEGORIES)
    for interval in (*losses["intervals"].values(), losses["categories"][UNK]["interval"]):
        assert interval["confidence"] == 0.9
        assert {"low", "high", "centre", "half_width", "method", "n"} < set(interval)
        assert "independent random sample" in interval["assumption"]


def test_text(golden):
    evaluation = evaluate(*sample(*PUBLISHED, (NOT, NOT), (NOT, None), contested=1), 0.9)
    lines = list(evaluation.lines())
    assert max(map(len, lines)) <= 100
    golden("evaluation.txt", "\n".join(lines) + "\n")


STRATA = {
    "sampling_stratum": ["f", "f", "f", "m", "m", "m"],
    "stratum_size": ["300"] * 3 + ["3"] * 3,
    "stratum_sampled": ["3"] * 6,
}
BY_STRATUM = [(NOT, NOT), (NOT, NOT), (UNK, NOT), (UNK, UNK), (MOD, MOD), (MOD, UNK)]


def test_a_stratified_sample_has_figures_of_its_population():
    gold, placed = sample(*BY_STRATUM, **STRATA)
    owners = ["o/a", "o/b"] * 3
    evaluation = evaluate(
        Gold(gold.rows.assign(repository=owners), 0), placed.assign(repository=owners)
    )
    everything, losses = evaluation.samples.values()
    methods = ["wilson_stratified", "wilson_stratified_clustered"]
    for performance, f1 in (
        (everything, (200 * 0.8 + 101 * 2 * 1 / 103 + 2 * 2 / 3) / 303),
        (losses, (101 * 2 * 1 / 103 + 2 * 2 / 3) / 103),
    ):
        assert [i.method for i in performance.population] == methods
        assert performance.population[0].estimate == pytest.approx(f1)
        assert performance.clustered.method == "wilson_clustered"
        assert performance.weighted_f1[0].estimate != performance.population[0].estimate
    fields = evaluation.to_json()
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert set(fields["samples"]["all"]["population"]["intervals"]) == set(methods)
    lines = list(evaluation.lines())
    assert max(map(len, lines)) <= 100
    assert "  weighted F1 of the population 0.54; " in "\n".join(lines)
    assert "for which it stands" in " ".join(evaluation.notes)


def test_labels_of_one_repository_are_not_clustered():
    evaluation = evaluate(*sample((MOD, MOD), (NOT, NOT)))
    assert evaluation.everything.clustered is None
    assert evaluation.to_json()["samples"]["all"]["population"] is None


@pytest.mark.parametrize(("columns", "warned"), [({}, False), ({"sampling_stratum": "s"}, True)])
def test_a_stratified_sample_is_said_to_need_weights(columns, warned):
    evaluation = evaluate(*sample((MOD, MOD), **columns))
    assert ("would need weights" in " ".join(evaluation.notes)) == warned
    assert "independent random sample" in evaluation.notes[0]


@pytest.mark.skipif(not SHARED.exists(), reason="the shared gold file is not here")
def test_the_shared_gold_file_against_itself():
    gold = read_gold(SHARED)
    evaluation = evaluate(gold, gold.rows.assign(placement=gold.rows["label"]))
    assert (evaluation.everything.n, evaluation.losses.n) == (241, 59)
    assert evaluation.everything.accuracy == 1
