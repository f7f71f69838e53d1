import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from classify.placement import Verdict
from classify.stopping import VotingRule, flip_risk

Y, N, A = True, False, None
YES, NO, NONE = Verdict.YES, Verdict.NO, Verdict.NONE

WAVES = [
    # votes so far, how many of five are asked for next, or the verdict
    ([], 3),
    ([Y, Y, Y], YES),
    ([N, N, N], NO),
    ([Y, Y, N], 2),
    ([Y, N, Y, N], 1),
    ([Y, Y, A], 2),
    ([Y, Y, N, A, N], NONE),
    ([Y, Y, N, N, A], NONE),
    ([A, A, A, A, N], NO),
    ([A, A, A, A, A], NONE),
]


@pytest.mark.parametrize(("decisions", "expected"), WAVES)
def test_five_votes_in_two_waves(decisions, expected):
    tally = VotingRule(5).tally(decisions)
    assert (tally.verdict or tally.wanted) == expected
    assert tally.flip_risk == 0


@pytest.mark.parametrize(("votes", "first"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (9, 5)])
def test_the_first_wave_is_the_least_that_can_decide(votes, first):
    assert VotingRule(votes).tally([]).wanted == first
    assert VotingRule(votes, early_stop=False).tally([]).wanted == votes


SPARE = [
    ([A, Y, Y], 3),
    ([A, Y, Y, Y], YES),
    ([A, A, Y, Y, N], 2),
    ([A, A, Y, Y, N, N], 1),
    ([A, A, Y, Y, N, N, Y], YES),
    ([A, A, A, Y, Y, N, N], NONE),
    ([A] * 7, NONE),
]


@pytest.mark.parametrize(("decisions", "expected"), SPARE)
def test_spare_votes_stand_in_for_abstentions(decisions, expected):
    tally = VotingRule(5, spare=2).tally(decisions)
    assert (tally.verdict or tally.wanted) == expected


@pytest.mark.parametrize(
    ("decisions", "ties", "verdict"),
    [([Y, N], YES, YES), ([Y, N], NO, NO), ([Y, N], NONE, NONE), ([A, A], YES, NONE)],
)
def test_ties_decide_what_the_rule_says_but_silence_decides_nothing(decisions, ties, verdict):
    assert VotingRule(2, ties=ties).tally(decisions).verdict is verdict


drawn = st.lists(st.sampled_from([Y, N, A]), max_size=20)


@given(drawn, st.integers(1, 9), st.integers(0, 4), st.sampled_from([YES, NO, NONE]))
def test_stopping_early_never_changes_the_verdict(decisions, votes, spare, ties):
    full = VotingRule(votes, spare, early_stop=False, ties=ties).tally(decisions)
    early = VotingRule(votes, spare, ties=ties).tally(decisions)
    if full.verdict is not None:
        assert early.verdict is full.verdict
    if early.verdict is not None and len(decisions) >= votes + spare:
        assert full.verdict is early.verdict


@given(drawn, st.integers(1, 9), st.integers(0, 4), st.sampled_from([None, 0.2, 0.05]))
def test_asking_for_what_is_wanted_ends_and_wastes_no_wave(decisions, votes, spare, risk):
    """The answers come from a list; each wave is needed, and the verdict is reached in the end."""
    answers = (decisions + [N] * 30)[: votes + spare]
    rule = VotingRule(votes, spare, max_flip_risk=risk)
    have = 0
    while (tally := rule.tally(answers[:have])).verdict is None:
        assert 1 <= tally.wanted <= votes + spare - have
        have += tally.wanted
    assert tally.yes + tally.no + tally.abstained <= have
    assert rule.tally(answers) == tally  # what else is stored does not matter


@given(st.integers(0, 30), st.integers(0, 30))
def test_flip_risk_is_the_beta_posterior_below_one_half(yes, no):
    posterior = beta(max(yes, no) + 1, min(yes, no) + 1)
    assert flip_risk(yes, no) == pytest.approx(posterior.cdf(0.5))


def test_a_taken_risk_is_told_and_a_certain_verdict_has_none():
    rule = VotingRule(9, max_flip_risk=0.1)
    assert rule.tally([]).wanted == 3  # 1/16 is the risk of three to none
    stopped = rule.tally([Y, Y, Y])
    assert (stopped.verdict, stopped.flip_risk) == (YES, 1 / 16)
    assert rule.tally([Y, Y, N]).wanted == 3  # 5 to 1: also 1/16; 4 to 1 is still 0.11
    certain = VotingRule(3, max_flip_risk=0.1).tally([Y, Y])
    assert (certain.verdict, certain.flip_risk) == (YES, 0.0)


def majority(votes):
    """What all votes decide, none left out."""
    return VotingRule(len(votes), early_stop=False).tally(votes).verdict


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([None, None], Verdict.NONE),
        ([True, False], Verdict.NONE),
        ([True, False, None], Verdict.NONE),
        ([True, None, None, None, None], Verdict.YES),
        ([True, True, False, False, False], Verdict.NO),
    ],
)
def test_majority(votes, expected):
    assert majority(votes) is expected


@given(st.lists(st.sampled_from([True, False, None]), min_size=1))
def test_majority_is_symmetric_and_blind_to_order_and_abstentions(votes):
    found = majority(votes)
    assert majority(votes[::-1]) is found
    assert majority([*votes, None]) is found
    flipped = {Verdict.YES: Verdict.NO, Verdict.NO: Verdict.YES, Verdict.NONE: Verdict.NONE}
    assert majority([None if v is None else not v for v in votes]) is flipped[found]
