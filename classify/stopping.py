"""When to stop asking: how many votes an ask still needs, and what those it has decide. Pure.

Stopping early loses nothing as long as the votes left could not change the verdict. The
published alternative, adaptive consistency (Aggarwal et al., EMNLP 2023), stops once a lead is
unlikely to be chance, and so takes a known risk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb

from classify.placement import Verdict


@dataclass(frozen=True, slots=True)
class Tally:
    """What the votes on an ask come to.

    ``verdict`` is None while votes are missing; ``wanted`` then says how many to ask for next.
    ``flip_risk`` is above 0 only where votes were left out that could have changed the verdict.
    """

    yes: int
    no: int
    abstained: int
    verdict: Verdict | None
    wanted: int = 0
    flip_risk: float = 0.0


@dataclass(frozen=True, slots=True)
class VotingRule:
    """How votes become a verdict: the first ``votes`` readable answers, the majority wins.

    An answer without a readable decision is an abstention; up to ``spare`` further draws stand
    in for them. ``early_stop`` leaves out the votes that cannot change the verdict.
    ``max_flip_risk`` also leaves out those that are unlikely to; None: it leaves out none.
    ``ties`` is the verdict where as many say yes as no.
    """

    votes: int
    spare: int = 0
    early_stop: bool = True
    max_flip_risk: float | None = None
    ties: Verdict = Verdict.NONE

    def tally(self, decisions: Iterable[bool | None]) -> Tally:
        """Count decisions in the order of their draws, no further than it takes.

        So a verdict rests on the same draws whatever else is stored.
        """
        yes = no = abstained = 0
        draws = iter(decisions)
        while True:
            left = self._left(yes, no, abstained)
            if self._decided(yes, no, left):
                verdict, risk = self._verdict(yes, no), self._risk(yes, no, left)
                return Tally(yes, no, abstained, verdict, flip_risk=risk)
            try:
                decided = next(draws)
            except StopIteration:
                return Tally(yes, no, abstained, None, self._wanted(yes, no, abstained, left))
            yes += decided is True
            no += decided is False
            abstained += decided is None

    def _left(self, yes: int, no: int, abstained: int) -> int:
        """Return how many more votes can still count."""
        readable = yes + no
        return max(0, min(self.votes - readable, self.votes + self.spare - readable - abstained))

    def _decided(self, yes: int, no: int, left: int) -> bool:
        if left == 0 or (self.early_stop and abs(yes - no) > left):
            return True
        return self.max_flip_risk is not None and flip_risk(yes, no) <= self.max_flip_risk

    def _verdict(self, yes: int, no: int) -> Verdict:
        if yes == no:
            return self.ties if yes else Verdict.NONE
        return Verdict.YES if yes > no else Verdict.NO

    def _risk(self, yes: int, no: int, left: int) -> float:
        return flip_risk(yes, no) if left and abs(yes - no) <= left else 0.0

    def _wanted(self, yes: int, no: int, abstained: int, left: int) -> int:
        """Return the next wave: first the fewest that could decide, then all the rest.

        A third wave would spare at most a vote or two, and pay for the prompt once more. Where
        a risk is taken, waves stay as small as they can, which is what it is taken for.
        """
        first = yes + no + abstained == 0
        if not first and self.max_flip_risk is None:
            return left
        lead, other = max(yes, no), min(yes, no)
        return next(n for n in range(1, left + 1) if self._decided(lead + n, other, left - n))


def flip_risk(yes: int, no: int) -> float:
    """Return how likely the answers given less often so far are in truth the more frequent ones.

    That is I_1/2(lead + 1, other + 1), the share below one half of the Beta posterior of the
    leader's frequency under a uniform prior (adaptive consistency, Aggarwal et al. 2023), here
    as the binomial tail that it equals for whole numbers.
    """
    lead, votes = max(yes, no), yes + no
    return sum(comb(votes + 1, k) for k in range(lead + 1, votes + 2)) / float(2 ** (votes + 1))
