from collections import Counter

import pytest

from classify.ask import Ballots, place_all
from classify.errors import JudgeError, MissingVoteError
from classify.judges import Answer, Completion, JudgeSettings
from classify.judges.replay import ReplayJudge
from classify.placement import Category, Verdict, place
from classify.questions import Question
from classify.store import Store
from mining.records import Kind, Snippet


def snippet(name, text=None, path="p.py", line=1):
    return Snippet("o/n", None, path, line, line, Kind.FUNCTION, name, None, text or f"# {name}")


def messages(ask):
    return (("user", f"{ask.question}: {ask.snippet.code}"),)


class ScriptedJudge:
    """Answers from a table of (question, name) -> texts; counts what it is asked."""

    settings = JudgeSettings("scripted", {}, "test")

    def __init__(self, script, default="Decision: False", stop_after=None):
        self.script = script
        self.default = default
        self.stop_after = stop_after
        self.asked = []

    def answer(self, requests):
        for request in requests:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            key = (request.ask.question, request.ask.snippet.qualname)
            texts = self.script.get(key, [self.default] * 9)
            if isinstance(texts, str):
                yield Completion(request, error=texts, refused=texts.startswith("too long"))
                continue
            draws = texts[request.first_draw : request.first_draw + request.draws]
            answers = tuple(Answer(text, "stop", len(text)) for text in draws)
            yield Completion(request, answers, prompt_tokens=10)


YES, NO, UNCLEAR = "Decision: True", "Decision: False", "I cannot say."
SNIPPETS = [snippet("a"), snippet("b"), snippet("c")]
SCRIPT = {
    (Question.LOSS_RELATED, "a"): [YES] * 5,
    (Question.LOSS_DEFINITION, "a"): [YES, NO, YES, UNCLEAR, YES],
    (Question.TRAINING_LOOP, "a"): [YES] * 5,
    (Question.LOSS_RELATED, "b"): [YES, NO, UNCLEAR, UNCLEAR, UNCLEAR],
}


def place_one(subject, verdict_of):
    return place(subject, [subject], verdict_of, lambda _: False)


def run(path, judge, snippets=SNIPPETS, votes=5):
    with Store(path) as store:
        ballots = Ballots(store, judge, messages, votes)
        placements = place_all(snippets, place_one, ballots)
        reasons = [p.undecided and ballots.reason(p.undecided) for p in placements]
        return [p.category for p in placements], reasons, ballots.spent


def test_every_snippet_ends_placed_or_with_a_reason(tmp_path):
    categories, reasons, spent = run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT))
    assert categories == [Category.LOSS_IN_RUNNER, None, Category.NO_LOSS]
    assert reasons == [None, "no verdict on loss_related: 1 yes, 1 no, 3 abstained", None]
    assert (spent.asks, spent.votes) == (5, 25)


def test_a_second_run_asks_nothing(tmp_path):
    first = run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT))
    judge = ScriptedJudge({}, default=YES)
    second = run(tmp_path / "v.sqlite", judge)
    assert judge.asked == []
    assert second[:2] == first[:2]
    assert (second[2].asks, second[2].stored) == (0, 5)


@pytest.mark.parametrize("stop_after", range(5))
def test_stopped_anywhere_the_next_run_asks_only_the_rest(tmp_path, stop_after):
    interrupted = ScriptedJudge(SCRIPT, stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "v.sqlite", interrupted)
    judge = ScriptedJudge(SCRIPT)
    categories, _, _ = run(tmp_path / "v.sqlite", judge)
    assert categories == [Category.LOSS_IN_RUNNER, None, Category.NO_LOSS]
    paid = Counter(r.prompt_sha256 for r in interrupted.asked + judge.asked)
    assert max(paid.values()) == 1
    assert len(paid) == 5


def test_more_votes_ask_only_for_the_missing_ones(tmp_path):
    run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT), votes=3)
    judge = ScriptedJudge(SCRIPT)
    run(tmp_path / "v.sqlite", judge, votes=5)
    assert {(r.first_draw, r.draws) for r in judge.asked} == {(3, 2)}


def test_fewer_votes_use_the_first_ones(tmp_path):
    run(tmp_path / "v.sqlite", ScriptedJudge(SCRIPT))
    judge = ScriptedJudge({})
    categories, reasons, _ = run(tmp_path / "v.sqlite", judge, votes=1)
    assert judge.asked == [r for r in judge.asked if r.ask.snippet.qualname == "b"]
    assert categories[1] is Category.NO_LOSS  # its one vote on loss_related was yes
    assert reasons == [None, None, None]


def test_equal_code_is_asked_once(tmp_path):
    twins = [snippet("a", "x", "one.py"), snippet("a", "x", "two.py")]
    judge = ScriptedJudge(SCRIPT)
    categories, _, _ = run(tmp_path / "v.sqlite", judge, twins)
    assert categories == [Category.LOSS_IN_RUNNER] * 2
    assert len(judge.asked) == 3


def test_a_refused_prompt_leaves_its_snippet_unplaced_and_the_rest_goes_on(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "too long for the model"}
    categories, reasons, spent = run(tmp_path / "v.sqlite", ScriptedJudge(script))
    assert categories == [None, None, Category.NO_LOSS]
    assert reasons[0] == "no verdict on loss_related: too long for the model"
    assert spent.refused == 1


def test_a_replay_knows_what_was_refused_and_another_attempt_asks_again(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "too long for the model"}
    first = run(tmp_path / "v.sqlite", ScriptedJudge(script))
    with Store(tmp_path / "v.sqlite") as store:
        silent = ReplayJudge(ScriptedJudge.settings)
        refused = store.refusals(silent.settings)
        ballots = Ballots(store, silent, messages, 5, refused)
        placements = place_all(SNIPPETS, place_one, ballots)
        assert [p.category for p in placements] == first[0]
        assert ballots.reason(placements[0].undecided) == first[1][0]
        with pytest.raises(MissingVoteError):
            place_all(SNIPPETS, place_one, Ballots(store, silent, messages, 5))
    longer = ScriptedJudge(SCRIPT)
    assert run(tmp_path / "v.sqlite", longer)[0][0] is Category.LOSS_IN_RUNNER
    with Store(tmp_path / "v.sqlite") as store:
        assert store.refusals(longer.settings) == {}


def test_a_passing_error_ends_the_run_and_keeps_what_was_answered(tmp_path):
    script = {**SCRIPT, (Question.LOSS_RELATED, "a"): "timeout"}
    with pytest.raises(JudgeError, match=r"3 prompts, found 1 without one.*timeout"):
        run(tmp_path / "v.sqlite", ScriptedJudge(script))
    judge = ScriptedJudge(SCRIPT)
    run(tmp_path / "v.sqlite", judge)
    assert [r.ask.snippet.qualname for r in judge.asked] == ["a", "a", "a"]


def test_a_judge_that_is_gone_is_not_asked_everything(tmp_path):
    judge = ScriptedJudge({(Question.LOSS_RELATED, f"s{i}"): "gone" for i in range(100)})
    with pytest.raises(JudgeError, match="gone"):
        run(tmp_path / "v.sqlite", judge, [snippet(f"s{i}") for i in range(100)])
    assert len(judge.asked) < 50


@pytest.mark.parametrize("texts", [[], [YES]])
def test_too_few_answers_never_loop_for_ever(tmp_path, texts):
    """No answer at all is an error; one at a time, they are collected until there are enough."""

    class Stingy(ScriptedJudge):
        def answer(self, requests):
            for request in requests:
                self.asked.append(request)
                yield Completion(request, tuple(Answer(t, "stop", 1) for t in texts))

    judge = Stingy({})
    if texts:
        categories, _, _ = run(tmp_path / "v.sqlite", judge, SNIPPETS[:1], votes=3)
        assert categories == [Category.LOSS_IN_RUNNER]
        assert len(judge.asked) == 9
    else:
        with pytest.raises(JudgeError, match="empty answer"):
            run(tmp_path / "v.sqlite", judge)


def test_a_judge_that_skips_a_request_is_found_out(tmp_path):
    class Forgetful(ScriptedJudge):
        def answer(self, requests):
            yield from super().answer(requests[1:])

    with pytest.raises(JudgeError, match="no answer came"):
        run(tmp_path / "v.sqlite", Forgetful(SCRIPT))


def test_requests_come_in_an_order_that_no_hash_seed_changes(tmp_path):
    judge = ScriptedJudge({})
    subjects = [snippet(f"s{i}", path=f"{i % 3}.py", line=i + 1) for i in range(20)]
    run(tmp_path / "v.sqlite", judge, list(reversed(subjects)))
    order = [(r.ask.snippet.path, r.ask.snippet.start_line) for r in judge.asked]
    assert order == sorted(order)


def test_verdicts_are_recomputed_from_the_stored_text(tmp_path):
    with Store(tmp_path / "v.sqlite") as store:
        judge = ScriptedJudge({})
        ballots = Ballots(store, judge, messages, 1)
        place_all(SNIPPETS[:1], place_one, ballots)
        fresh = Ballots(store, judge, messages, 1)
        assert fresh.verdict(judge.asked[0].ask) is Verdict.NO
