import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.placement import Placement, Verdict, any_of, place
from classify.questions import Ask, Question
from mining.records import Kind, Snippet

R, D, T, M = Question
Y, N, O, NONE = Verdict.YES, Verdict.NO, None, Verdict.NONE  # noqa: E741


def snippet(kind, name="f", text="x = 1"):
    class_name = "A" if kind is Kind.METHOD else None
    return Snippet("o/n", None, "p.py", 1, 2, kind, name, class_name, text)


LOOP = snippet(Kind.LOOP)
FUNCTION = snippet(Kind.FUNCTION)
METHOD = snippet(Kind.METHOD)

# named: does the code name a known loss; verdicts by question; what comes out
BRANCHES = [
    # the gate, as the method's text says
    (FUNCTION, "as_text", False, {R: O}, {R}),
    (FUNCTION, "as_text", False, {R: N}, "no_loss"),
    (FUNCTION, "as_text", False, {R: NONE}, None),
    (FUNCTION, "as_text", False, {R: Y, D: O}, {D}),
    (FUNCTION, "as_text", True, {R: N, D: O}, {D}),
    # the gate, as the pseudocode prints it
    (FUNCTION, "as_printed", True, {R: O}, {R}),
    (FUNCTION, "as_printed", True, {R: N}, "no_loss"),
    (FUNCTION, "as_printed", True, {R: NONE}, None),
    (FUNCTION, "as_printed", True, {R: Y, D: O}, {D}),
    (FUNCTION, "as_printed", False, {R: N, D: O}, {D}),
    # usage is no definition
    (FUNCTION, "as_text", True, {D: N}, "no_loss"),
    (FUNCTION, "as_text", True, {D: NONE}, None),
    # a loop
    (LOOP, "as_text", True, {D: Y}, "loss_in_runner"),
    (LOOP, "as_text", True, {D: N}, "no_loss"),
    # a function outside of a class
    (FUNCTION, "as_text", True, {D: Y, T: O}, {T}),
    (FUNCTION, "as_text", True, {D: Y, T: Y}, "loss_in_runner"),
    (FUNCTION, "as_text", True, {D: Y, T: N}, "loss_unknown"),
    (FUNCTION, "as_text", True, {D: Y, T: NONE}, None),
    # a method
    (METHOD, "as_text", True, {D: Y, T: O, M: O}, {T, M}),
    (METHOD, "as_text", True, {D: Y, T: Y, M: O}, {M}),
    (METHOD, "as_text", True, {D: Y, T: Y, M: Y}, "loss_in_model_runner"),
    (METHOD, "as_text", True, {D: Y, T: N, M: Y}, "loss_in_model"),
    (METHOD, "as_text", True, {D: Y, T: Y, M: N}, "loss_in_runner"),
    (METHOD, "as_text", True, {D: Y, T: N, M: N}, "loss_unknown"),
    (METHOD, "as_text", True, {D: Y, T: NONE, M: Y}, None),
    (METHOD, "as_text", True, {D: Y, T: Y, M: NONE}, None),
]


@pytest.mark.parametrize(("subject", "gate", "named", "verdicts", "expected"), BRANCHES)
def test_every_branch(subject, gate, named, verdicts, expected):
    result = place(subject, [subject], lambda ask: verdicts[ask.question], lambda _: named, gate)
    if isinstance(expected, set):
        assert result == {Ask(question, subject) for question in expected}
        return
    assert result.category == expected
    assert result.verdicts.items() <= verdicts.items()
    if expected is None:
        assert verdicts[result.undecided.question] is NONE


def test_a_method_is_judged_by_all_functions_of_its_class():
    build, step, train = (snippet(Kind.METHOD, name, name) for name in ("build", "step", "train"))
    verdicts = {
        (D, "step"): Y,
        (M, "build"): Y,
        (M, "step"): N,
        (M, "train"): NONE,
        (T, "build"): N,
        (T, "step"): N,
        (T, "train"): O,
    }

    def verdict_of(ask):
        return verdicts[ask.question, ask.snippet.qualname]

    functions = [build, step, train]
    # one yes decides model_definition; training_loop still waits for one answer
    assert place(step, functions, verdict_of, lambda _: True) == {Ask(T, train)}
    verdicts[T, "train"] = N
    assert place(step, functions, verdict_of, lambda _: True).category == "loss_in_model"
    verdicts[T, "train"] = NONE
    found = place(step, functions, verdict_of, lambda _: True)
    assert (found.category, found.undecided) == (None, Ask(T, train))


@pytest.mark.parametrize(
    ("in_base", "expected"),
    [({M}, "loss_in_model"), ({T}, "loss_unknown"), ({T, M}, "loss_in_model")],
)
def test_a_base_class_makes_a_model_but_no_runner(in_base, expected):
    step = snippet(Kind.METHOD, "step")
    inherited = Snippet("o/n", None, "base.py", 1, 2, Kind.METHOD, "B.f", "B", "x = 2")

    def verdict_of(ask):
        return (
            Y if ask.question is D or (ask.snippet is inherited and ask.question in in_base) else N
        )

    assert place(step, [step, inherited], verdict_of, lambda _: True).category == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([], N), ([N, N], N), ([N, O, Y], Y), ([NONE, Y], Y), ([N, O, NONE], O), ([N, NONE], NONE)],
)
def test_any_of(verdicts, expected):
    assert any_of(verdicts) is expected


@given(
    st.sampled_from([LOOP, FUNCTION, METHOD]),
    st.sampled_from(["as_text", "as_printed"]),
    st.booleans(),
    st.fixed_dictionaries({q: st.sampled_from(list(Verdict)) for q in Question}),
)
def test_asking_only_what_is_open_always_ends_in_the_same_placement(subject, gate, named, verdicts):
    """However the answers arrive, at most four rounds give what all answers at once give."""
    known = {}

    def placed(answers):
        return place(subject, [subject], lambda a: answers.get(a.question), lambda _: named, gate)

    for _ in range(5):
        result = placed(known)
        if isinstance(result, Placement):
            break
        assert result
        known |= {ask.question: verdicts[ask.question] for ask in result}
    assert result == placed(verdicts)


METHODS = [
    Snippet("o/n", None, "p.py", n + 1, n + 1, Kind.METHOD, f"C.{name}", "C", text)
    for n, (name, text) in enumerate(
        [
            ("describe", "return self.name"),
            ("forward", "return self.layer(x)"),
            ("__init__", "self.layer = nn.Linear(2, 2)"),
            ("fit", "for x in data:\n    loss.backward()\n    optimizer.step()"),
            ("train_step", "loss.backward()\n    optimizer.step()"),
        ]
    )
]


def test_of_a_class_the_likeliest_function_is_asked_first():
    asked = []

    def verdict_of(ask):
        return {R: Y, D: Y}.get(ask.question) or dict(asked).get(ask)

    while not isinstance(
        open_asks := place(METHODS[0], METHODS, verdict_of, lambda _: True), Placement
    ):
        assert len({ask.question for ask in open_asks}) == len(open_asks)
        asked += [(ask, N) for ask in sorted(open_asks, key=lambda ask: ask.question)]
    order = {q: [a.snippet.qualname for a, _ in asked if a.question is q] for q in (T, M)}
    assert order[T][:2] == ["C.fit", "C.train_step"]
    assert order[M][:2] == ["C.__init__", "C.forward"]
    assert sorted(order[T]) == sorted(order[M]) == sorted(s.qualname for s in METHODS)


def test_unless_one_by_one_all_functions_of_a_class_are_asked_at_once():
    def gates_only(ask):
        return {R: Y, D: Y}.get(ask.question)

    asks = place(METHODS[0], METHODS, gates_only, lambda _: True, stop_at_yes=False)
    assert asks == {Ask(q, s) for q in (T, M) for s in METHODS}
    apart = place(
        METHODS[0], METHODS, gates_only, lambda _: True, stop_at_yes=False, class_once=False
    )
    assert {ask.apart for ask in apart} == {METHODS[0].snippet_id}
