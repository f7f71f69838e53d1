from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.ask import Ballots, Budget, Subject, place_all
from classify.errors import BudgetSpentError, JudgeError, MissingVoteError
from classify.judges import Answer, Completion, JudgeSettings
from classify.judges.replay import ReplayJudge
from classify.placement import Category, Verdict, place
from classify.questions import Question
from classify.stopping import VotingRule
from classify.store import Store
from mining.records import Kind, Snippet


def snippet(name, text=None, path="p.py", line=1, kind=Kind.FUNCTION):
    of_class = "C" if kind is Kind.METHOD else None
    return Snippet("o/n", None, path, line, line, kind, name, of_class, text or f"# {name}")


def messages(ask):
    return (("user", f"{ask.question}: {ask.snippet.code}"),)


class ScriptedJudge:
    """Answers from a table of (question, name) -> texts; counts what it is asked."""

    def __init__(self, script, default="Decision: False", stop_after=None, max_tokens=None):
        self.settings = JudgeSettings("scripted", {}, "test", max_tokens)
        self.script = script
        self.default = default
        self.stop_after = stop_after
        self.asked = []

    def answer(self, requests):
        for request in filter(None, requests):
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            yield self.complete(request)

    def complete(self, request):
        texts = self.script.get((request.ask.question, request.ask.snippet.qualname))
        texts = [self.default] * 9 if texts is None else texts
        if isinstance(texts, str):
            return Completion(request, error=texts, refused=texts.startswith("too long"))
        draws = texts[request.first_draw : request.first_draw + request.draws]
        answers = tuple(
            Answer(text, "length" if text.startswith("cut") else "stop", len(text))
            for text in draws
        )
        return Completion(request, answers, prompt_tokens=10)


YES, NO, UNCLEAR = "Decision: True", "Decision: False", "I cannot say."
SNIPPETS = [snippet("a"), snippet("b"), snippet("c")]
SCRIPT = {
    (Question.LOSS_RELATED, "a"): [YES] * 5,
    (Question.LOSS_DEFINITION, "a"): [YES, NO, YES, UNCLEAR, YES],
    (Question.TRAINING_LOOP, "a"): [YES] * 5,
    (Question.LOSS_RELATED, "b"): [YES, NO] + [UNCLEAR] * 7,
}


ALL = VotingRule(5, early_stop=False)


def subjects(snippets, **how):
    def place_one(subject, verdict_of):
        around = [s for s in snippets if s.class_qualname == subject.class_qualname]
        return place(subject, around, verdict_of, lambda _: False, **how)

    return [Subject(n, partial(place_one, each)) for n, each in enumerate(snippets)]


def run(path, judge, snippets=SNIPPETS, rule=ALL, *, budget=None, retry=False, **how):
    """Return the categories, the reasons, and what was spent."""
    with Store(path) as store:
        refused = {p: f.reason for p, f in store.failures(judge.settings).items() if f.refused}
        ballots = Ballots(store, judge, messages, rule, {} if retry else refused)
        placed = {}
        place_all(
            subjects(snippets, **how),
            ballots,
            lambda number, placement, _: placed.setdefault(number, placement),
            budget=budget,
        )
        ends = [placed[number] for number in range(len(snippets))]
        reasons = [p.undecided and ballots.reason(p.undecided) for p in ends]
        return [p.category for p in ends], reasons, ballots.spent


PLACED = [Category.LOSS_IN_RUNNER, None, Category.NO_LOSS]


def test_every_snippet_ends_placed_or_with_a_reason(tmp_path):
    categories, reasons, spent = run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT))
    assert categories == PLACED
    assert reasons == [None, "no verdict on loss_related: 1 yes, 1 no, 3 abstained", None]
    assert (spent.asks, spent.votes, spent.unreadable) == (5, 25, 4)


def test_a_second_run_asks_nothing(tmp_path):
    first = run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT))
    judge = ScriptedJudge({}, default=YES)
    second = run(tmp_path / "v.sqlite", judge)
    assert judge.asked == []
    assert second[:2] == first[:2]
    assert (second[2].asks, second[2].stored) == (0, 5)


def test_what_is_forgotten_is_had_again_from_the_store(tmp_path, monkeypatch):
    kept = run(tmp_path / "kept.sqlite", ScriptedJudge(SCRIPT))
    monkeypatch.setattr("classify.ask._MOST_REMEMBERED", 1)
    assert run(tmp_path / "forgotten.sqlite", ScriptedJudge(SCRIPT)) == kept


@pytest.mark.parametrize("rule", [ALL, VotingRule(5, spare=2)])
@pytest.mark.parametrize("stop_after", range(9))
def test_stopped_anywhere_the_next_run_asks_only_the_rest(tmp_path, stop_after, rule):
    whole = ScriptedJudge(SCRIPT)
    expected = run(tmp_path / "whole.sqlite", whole, rule=rule)
    interrupted = ScriptedJudge(SCRIPT, stop_after=stop_after)
    if stop_after < len(whole.asked):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "v.sqlite", interrupted, rule=rule)
    judge = ScriptedJudge(SCRIPT)
    assert run(tmp_path / "v.sqlite", judge, rule=rule)[0] == expected[0]
    draws = sorted(draws_of(interrupted) + draws_of(judge))
    assert draws == sorted(draws_of(whole))


def draws_of(judge):
    return [
        (r.prompt_sha256, draw)
        for r in judge.asked
        for draw in range(r.first_draw, r.first_draw + r.draws)
    ]


def test_more_votes_ask_only_for_the_missing_ones(tmp_path):
    run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT), rule=VotingRule(3, early_stop=False))
    judge = ScriptedJudge(SCRIPT)
    run(tmp_path / "v.sqlite", judge)
    assert {(r.first_draw, r.draws) for r in judge.asked} == {(3, 2)}


def test_fewer_votes_use_the_first_ones(tmp_path):
    run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT))
    judge = ScriptedJudge({})
    categories, reasons, _ = run(tmp_path / "v.sqlite", judge, rule=VotingRule(1))
    assert judge.asked == [r for r in judge.asked if r.ask.snippet.qualname == "b"]
    assert categories[1] is Category.NO_LOSS  # its one vote on loss_related was yes
    assert reasons == [None, None, None]


def test_votes_that_cannot_change_a_verdict_are_not_asked_for(tmp_path):
    judge = ScriptedJudge(SCRIPT)
    categories, _, _ = run(tmp_path / "v.sqlite", judge, rule=VotingRule(5))
    assert categories == PLACED
    waves = Counter((r.ask.question, r.ask.snippet.qualname) for r in judge.asked)
    undecided = {(Question.LOSS_DEFINITION, "a"): 2, (Question.LOSS_RELATED, "b"): 2}
    assert waves == {
        (Question.LOSS_RELATED, "a"): 1,
        (Question.TRAINING_LOOP, "a"): 1,
        (Question.LOSS_RELATED, "c"): 1,
        **undecided,
    }
    assert {(r.first_draw, r.draws) for r in judge.asked} == {(0, 3), (3, 2)}


def test_the_second_wave_of_a_prompt_comes_before_all_other_asks(tmp_path):
    judge = ScriptedJudge({(Question.LOSS_RELATED, "a"): [YES, NO, YES, NO, NO]})
    run(tmp_path / "v.sqlite", judge, rule=VotingRule(5))
    assert [r.first_draw for r in judge.asked[:2]] == [0, 3]
    assert len({r.prompt_sha256 for r in judge.asked[:2]}) == 1


def test_unreadable_answers_are_asked_again_up_to_a_limit(tmp_path):
    judge = ScriptedJudge(
        {
            (Question.LOSS_RELATED, "a"): [UNCLEAR, NO, NO, UNCLEAR, NO],
            (Question.LOSS_RELATED, "b"): [UNCLEAR] * 9,
        }
    )
    rule = VotingRule(3, spare=2)
    categories, reasons, spent = run(tmp_path / "v.sqlite", judge, rule=rule)
    assert categories == [Category.NO_LOSS, None, Category.NO_LOSS]
    assert reasons[1] == "no verdict on loss_related: 0 yes, 0 no, 5 abstained"
    assert max(draw for _, draw in draws_of(judge)) == 4
    assert spent.unreadable == 2 + 5


def test_only_answers_that_a_lower_limit_cut_off_are_asked_again(tmp_path):
    cut = {(Question.LOSS_RELATED, "a"): [NO, "cut off", NO, "cut off", NO]}
    run(tmp_path / "v.sqlite", ScriptedJudge(cut, max_tokens=8), SNIPPETS[:1])
    same = ScriptedJudge(cut, max_tokens=8)
    _, _, spent = run(tmp_path / "v.sqlite", same, SNIPPETS[:1])
    lower = ScriptedJudge(cut, max_tokens=4)
    run(tmp_path / "v.sqlite", lower, SNIPPETS[:1])
    assert same.asked == lower.asked == []

    higher = ScriptedJudge({(Question.LOSS_RELATED, "a"): [YES] * 5}, max_tokens=16)
    _, _, spent = run(tmp_path / "v.sqlite", higher, SNIPPETS[:1])
    assert [(r.first_draw, r.draws) for r in higher.asked] == [(1, 1), (3, 1)]
    assert (spent.asks, spent.votes) == (1, 2)
    run(tmp_path / "v.sqlite", again := ScriptedJudge({}, max_tokens=16), SNIPPETS[:1])
    assert again.asked == []
    with Store(tmp_path / "v.sqlite") as store:
        texts = [v.text for v in store.votes(higher.asked[0].prompt_sha256, higher.settings)]
        kept = store._connection.execute("SELECT count(*) FROM votes").fetchone()
    assert texts == [NO, YES, NO, YES, NO]
    assert kept == (7,)


def test_equal_code_is_asked_once_unless_each_snippet_shall_have_its_own_votes(tmp_path):
    twins = [snippet("a", "x", "one.py"), snippet("a", "x", "two.py")]
    judge = ScriptedJudge(SCRIPT)
    categories, _, _ = run(tmp_path / "v.sqlite", judge, twins)
    assert categories == [Category.LOSS_IN_RUNNER] * 2
    assert len(judge.asked) == 3
    with Store(tmp_path / "w.sqlite") as store:
        apart = ScriptedJudge(SCRIPT)
        ballots = Ballots(store, apart, messages, ALL, equal_code=False)
        place_all(subjects(twins), ballots, lambda *_: None)
    assert len(apart.asked) == len({r.prompt_sha256 for r in apart.asked}) == 6
    assert len({r.seed(0) for r in apart.asked}) == 6


METHODS = [snippet(n, line=i + 1, kind=Kind.METHOD) for i, n in enumerate(["loss", "log", "fit"])]
TRAINS = {
    **{(q, "loss"): [YES] * 5 for q in (Question.LOSS_RELATED, Question.LOSS_DEFINITION)},
    **{(q, "log"): [YES] * 5 for q in (Question.LOSS_RELATED, Question.LOSS_DEFINITION)},
    (Question.TRAINING_LOOP, "fit"): [YES] * 5,
}


def test_a_class_is_asked_until_the_first_yes_the_likeliest_function_first(tmp_path):
    def asked(**how):
        judge = ScriptedJudge(TRAINS)
        path = tmp_path / f"{sorted(how.items())}.sqlite"
        categories, _, _ = run(path, judge, METHODS, **how)
        assert categories == [Category.LOSS_IN_RUNNER, Category.LOSS_IN_RUNNER, Category.NO_LOSS]
        return Counter(r.ask.question for r in judge.asked if r.ask.question not in GATES)

    everything = {Question.TRAINING_LOOP: 3, Question.MODEL_DEFINITION: 3}
    assert asked() == {Question.TRAINING_LOOP: 1, Question.MODEL_DEFINITION: 3}
    assert asked(stop_at_yes=False) == everything
    twice = {question: 2 * times for question, times in everything.items()}
    assert asked(stop_at_yes=False, class_once=False) == twice


GATES = (Question.LOSS_RELATED, Question.LOSS_DEFINITION)


@settings(max_examples=150)
@given(st.data())
def test_no_lossless_saving_changes_a_placement(tmp_path_factory, data):
    """Whatever the votes, given the same ones for each prompt and draw."""
    draws = st.lists(st.sampled_from([YES, NO, UNCLEAR]), min_size=9, max_size=9)
    texts = st.sampled_from(["x", "y", "z"])  # so that some snippets are equal
    subjects = [
        snippet(name, data.draw(texts), line=line + 1, kind=kind)
        for line, (name, kind) in enumerate(
            [(n, Kind.METHOD) for n in ("__init__", "f", "train")]
            + [("g", Kind.FUNCTION), ("<loop>", Kind.LOOP)]
        )
    ]
    by_text = {(q, t): data.draw(draws) for q in Question for t in ("x", "y", "z")}
    script = {(q, s.qualname): by_text[q, s.text] for q in Question for s in subjects}
    votes, spare = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 3))
    folder = tmp_path_factory.mktemp("stores")
    everything = ScriptedJudge(script)
    full = run(
        folder / "full",
        everything,
        subjects,
        VotingRule(votes, spare, early_stop=False),
        stop_at_yes=False,
    )
    frugal = ScriptedJudge(script)
    saved = run(folder / "saved", frugal, subjects, VotingRule(votes, spare))
    assert saved[0] == full[0]
    assert saved[2].votes <= full[2].votes
    assert set(draws_of(frugal)) <= set(draws_of(everything))


def test_a_refused_prompt_leaves_its_snippet_unplaced_and_the_rest_goes_on(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "too long for the model"}
    categories, reasons, spent = run(tmp_path / "v.sqlite", ScriptedJudge(script))
    assert categories == [None, None, Category.NO_LOSS]
    assert reasons[0] == "no verdict on loss_related: too long for the model"
    assert spent.refused == 1


def test_what_was_refused_is_asked_again_only_when_told_so(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "too long for the model"}
    first = run(tmp_path / "v.sqlite", ScriptedJudge(script))
    longer = ScriptedJudge(SCRIPT)
    assert run(tmp_path / "v.sqlite", longer)[:2] == first[:2]
    assert longer.asked == []
    assert run(tmp_path / "v.sqlite", longer, retry=True)[0] == PLACED
    with Store(tmp_path / "v.sqlite") as store:
        assert store.failures(longer.settings) == {}


def test_a_replay_knows_what_was_refused(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "too long for the model"}
    first = run(tmp_path / "v.sqlite", ScriptedJudge(script))
    silent = ReplayJudge(ScriptedJudge({}).settings)
    assert run(tmp_path / "v.sqlite", silent)[:2] == first[:2]
    with pytest.raises(MissingVoteError):
        run(tmp_path / "v.sqlite", silent, retry=True)


def test_a_passing_error_leaves_its_snippet_unplaced_until_the_next_run(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "timeout"}
    categories, reasons, spent = run(tmp_path / "v.sqlite", ScriptedJudge(script))
    assert categories == [None, None, Category.NO_LOSS]
    assert reasons[0] == "no verdict on loss_related: timeout"
    assert (spent.failed, spent.reason) == (1, "timeout")
    run(tmp_path / "v.sqlite", ScriptedJudge(script))
    with Store(tmp_path / "v.sqlite") as store:
        (failure,) = store.failures(ScriptedJudge({}).settings).values()
    assert (failure.reason, failure.refused, failure.attempts) == ("timeout", False, 2)
    judge = ScriptedJudge(SCRIPT)
    assert run(tmp_path / "v.sqlite", judge)[0] == PLACED
    assert [r.ask.snippet.qualname for r in judge.asked] == ["a", "a", "a"]


def test_a_judge_that_answers_nothing_is_an_error(tmp_path):
    script = {(Question.LOSS_RELATED, name): "timeout" for name in "abc"}
    with pytest.raises(JudgeError, match=r"none to 3 prompts.*timeout"):
        run(tmp_path / "v.sqlite", ScriptedJudge(script))


def test_a_judge_that_is_gone_is_not_asked_everything(tmp_path):
    judge = ScriptedJudge({(Question.LOSS_RELATED, f"s{i}"): "gone" for i in range(100)})
    with pytest.raises(JudgeError, match="gone"):
        run(tmp_path / "v.sqlite", judge, [snippet(f"s{i}") for i in range(100)])
    assert len(judge.asked) < 50


class Stingy(ScriptedJudge):
    """Gives one answer a request, or none, whatever it is asked for."""

    def __init__(self, texts):
        super().__init__({})
        self.texts = texts

    def complete(self, request):
        return Completion(request, tuple(Answer(text, "stop", 1) for text in self.texts))


def test_answers_that_come_one_at_a_time_are_collected(tmp_path):
    judge = Stingy([YES])
    rule = VotingRule(3, early_stop=False)
    assert run(tmp_path / "v.sqlite", judge, SNIPPETS[:1], rule)[0] == PLACED[:1]
    assert len(judge.asked) == 9


def test_no_answer_at_all_is_an_error(tmp_path):
    with pytest.raises(JudgeError, match="empty answer"):
        run(tmp_path / "v.sqlite", Stingy([]))


def test_a_judge_that_skips_a_request_is_found_out(tmp_path):
    class Forgetful(ScriptedJudge):
        def answer(self, requests):
            for number, request in enumerate(requests):
                if request is None:
                    return
                if number != 1:
                    yield self.complete(request)

    categories, reasons, _ = run(tmp_path / "v.sqlite", Forgetful(SCRIPT))
    assert categories == [None, None, Category.NO_LOSS]
    assert reasons[0] == "no verdict on loss_definition: no answer came"


def test_a_judge_that_waits_for_ever_for_more_is_found_out(tmp_path):
    class Waiting(ScriptedJudge):
        def answer(self, requests):
            for _ in requests:
                pass
            yield from ()

    with pytest.raises(JudgeError, match="waits for more with 3 unanswered"):
        run(tmp_path / "v.sqlite", Waiting(SCRIPT))


class Batching(ScriptedJudge):
    """Holds ``size`` requests at a time, and answers the last one first."""

    def __init__(self, script, size):
        super().__init__(script)
        self.size = size
        self.held = []

    def answer(self, requests):
        under_way = []
        pending = iter(requests)
        while True:
            while len(under_way) < self.size and (request := next(pending, None)) is not None:
                under_way.append(request)
            self.held.append(len(under_way))
            if not under_way:
                return
            self.asked.append(under_way[-1])
            yield self.complete(under_way.pop())


def test_a_judge_is_kept_busy_across_questions_and_waves(tmp_path):
    """No wave and no question is waited for while another snippet can be asked about."""
    judge = Batching(SCRIPT | {(Question.LOSS_RELATED, f"s{i}"): [YES] * 9 for i in range(20)}, 4)
    subjects = SNIPPETS + [snippet(f"s{i}") for i in range(20)]
    expected = run(tmp_path / "one.sqlite", ScriptedJudge(judge.script), subjects)
    assert run(tmp_path / "v.sqlite", judge, subjects)[:2] == expected[:2]
    slack = [held for held in judge.held if held < 4]
    assert len(judge.held) > 40
    assert len(slack) <= 3 * 3  # the last three snippets' ways through three questions


def test_a_budget_ends_a_run_cleanly_and_the_next_goes_on(tmp_path):
    judge = ScriptedJudge(SCRIPT)
    with pytest.raises(BudgetSpentError, match=r"within 200 tokens.*run the command again"):
        run(tmp_path / "v.sqlite", judge, budget=Budget(max_tokens=200))
    spent = sum(10 + 15 * r.draws for r in judge.asked)
    assert 100 < spent <= 300
    rest = ScriptedJudge(SCRIPT)
    assert run(tmp_path / "v.sqlite", rest, budget=Budget(max_tokens=10_000))[0] == PLACED
    assert not set(draws_of(judge)) & set(draws_of(rest))
    done = Budget(max_tokens=0, max_hours=0.0)
    assert run(tmp_path / "v.sqlite", ScriptedJudge({}), budget=done)[0] == PLACED


def test_hours_are_a_budget_too(tmp_path):
    with pytest.raises(BudgetSpentError, match="within 0 s"):
        run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT), budget=Budget(max_hours=0.0))


def test_a_budget_of_tokens_counts_what_is_under_way(tmp_path):
    judge = Batching({}, 64)
    subjects = [snippet(f"s{i}") for i in range(100)]
    with pytest.raises(BudgetSpentError):
        run(tmp_path / "v.sqlite", judge, subjects, budget=Budget(max_tokens=1_000))
    assert max(judge.held) == 16  # before the first answer nobody knows what one costs
    assert 900 <= sum(10 + 15 * r.draws for r in judge.asked) <= 1_100 + 16 * 85


def test_requests_come_in_an_order_that_no_hash_seed_changes(tmp_path):
    judge = ScriptedJudge({})
    subjects = [snippet(f"s{i}", path=f"{i % 3}.py", line=i + 1) for i in range(20)]
    run(tmp_path / "v.sqlite", judge, subjects)
    assert [r.ask.snippet for r in judge.asked] == subjects


def test_the_seed_of_a_draw_does_not_depend_on_its_request(tmp_path):
    whole, waves = (ScriptedJudge(SCRIPT) for _ in range(2))
    run(tmp_path / "a.sqlite", whole)
    run(tmp_path / "b.sqlite", waves, rule=VotingRule(5))

    def seeds(judge):
        return {
            (r.prompt_sha256, r.first_draw + n): r.seed(7) + n
            for r in judge.asked
            for n in range(r.draws)
        }

    assert seeds(waves).items() <= seeds(whole).items()
    assert len(set(seeds(whole).values())) == 25


def test_verdicts_are_recomputed_from_the_stored_text(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        judge = ScriptedJudge({})
        place_all(
            subjects(SNIPPETS[:1]), Ballots(store, judge, messages, VotingRule(1)), lambda *_: None
        )
        fresh = Ballots(store, judge, messages, VotingRule(1))
        assert fresh.verdict(judge.asked[0].ask) is Verdict.NO
