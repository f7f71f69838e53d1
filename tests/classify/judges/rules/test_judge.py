"""The judge as the rest of the program sees it, and that no code makes it raise."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.judges import Request
from classify.judges.rules import RulesJudge, Ruling, rule, rules_messages
from classify.judges.rules.program import program_of
from classify.judges.rules.tree import path_of
from classify.questions import Ask, Question
from mining.code import RepositoryCode
from mining.records import Kind, Snippet

SOURCE = """import torch.nn as nn, torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, n=3, *args, k: int = 4, **kw):
        self.fc, self.crit = nn.Linear(n, k), nn.MSELoss(reduction="none")
    def forward(self, x, y=None):
        out = self.fc(x) if y is None else [self.fc(z) for z in (x, y)]
        loss = 0
        for i, o in enumerate(out):
            loss += self.crit(o, y).mean() + 0.1 * (o ** 2).sum()
        return {"loss": loss, "out": out}, -loss
def train(net, data, lr=1e-3):
    while (b := next(data)) is not None:
        with F.no_grad() as g:
            (l, _), *rest = net(*b, **{"y": lambda q: q @ q})
        l["loss"].backward(); net.opt.step()
        print "loss", `l`
        exec "x = 1"
for epoch in range(9): train(net, data)
"""


def code_of(text: str) -> RepositoryCode:
    return RepositoryCode("o/r", "abc", {"pkg/m.py": text})


def rulings(code: RepositoryCode) -> list[Ruling]:
    return [
        rule(question, snippet, code)
        for extraction in code.extractions.values()
        for snippet in extraction.snippets
        for question in Question
    ]


def snippet_of(code: RepositoryCode, qualname: str) -> Snippet:
    return next(s for s in code.extractions["pkg/m.py"].snippets if s.qualname == qualname)


def test_no_tree_of_the_repository_before_is_kept() -> None:
    rulings(code_of(SOURCE))
    assert path_of.cache_info().currsize > 0
    program_of(code_of(SOURCE))
    assert path_of.cache_info().currsize == 0


def test_decisions_on_the_whole_example() -> None:
    code = code_of(SOURCE)
    found = {
        (s.qualname, q): rule(q, s, code).decision
        for s in code.extractions["pkg/m.py"].snippets
        for q in (Question.LOSS_DEFINITION, Question.TRAINING_LOOP, Question.MODEL_DEFINITION)
    }
    assert {key for key, decision in found.items() if decision} == {
        ("Net.__init__", Question.MODEL_DEFINITION),
        ("Net.forward", Question.MODEL_DEFINITION),
        ("Net.forward", Question.LOSS_DEFINITION),
        ("train", Question.TRAINING_LOOP),
        ("<loop>", Question.TRAINING_LOOP),
    }


def test_the_order_of_the_questions_changes_no_answer() -> None:
    forward = rulings(code_of(SOURCE))
    code = code_of(SOURCE)
    snippets = code.extractions["pkg/m.py"].snippets
    backward = [rule(q, s, code) for s in reversed(snippets) for q in reversed(Question)]
    assert forward == backward[::-1]


def test_every_reason_is_a_sentence_that_names_its_lines() -> None:
    for ruling in rulings(code_of(SOURCE)):
        assert ruling.reason.endswith(".") and ruling.reason[0].isupper()
        assert ruling.lines
        assert all(str(line) in ruling.reason for line in ruling.lines)


def test_answers_to_requests() -> None:
    code = code_of(SOURCE)
    asked: list[str] = []

    def read(repository: str) -> RepositoryCode:
        asked.append(repository)
        return code

    ask = Ask(Question.TRAINING_LOOP, snippet_of(code, "train"))
    request = Request(ask, rules_messages(ask, code), first_draw=2, draws=3)
    (completion,) = RulesJudge(read).answer([request])
    assert asked == ["o/r"]
    assert completion.request is request
    assert len(completion.answers) == 3 and len(set(completion.answers)) == 1
    answer = completion.answers[0]
    assert answer.text.endswith("\nDecision: True")
    assert (answer.finish_reason, answer.output_tokens) == ("stop", 0)


def test_settings_name_the_rules_by_their_sources() -> None:
    first, second = RulesJudge(code_of).settings, RulesJudge(code_of).settings
    assert first.kind == "rules" and first.name == "rules"
    assert first.sha256 == second.sha256
    assert len(first.text["rules"]) == 64
    assert first.engine.startswith("lossplace")


@pytest.mark.parametrize(
    "other",
    [
        SOURCE + "\n",
        SOURCE.replace("lr=1e-3", "lr=1e-2"),
    ],
)
def test_messages_change_with_any_text_of_the_repository(other: str) -> None:
    code, changed = code_of(SOURCE), code_of(other)
    ask = Ask(Question.TRAINING_LOOP, snippet_of(code, "train"))
    assert rules_messages(ask, code) == rules_messages(ask, code_of(SOURCE))
    assert rules_messages(ask, code) != rules_messages(ask, changed)


def test_messages_change_with_question_place_and_paths() -> None:
    code = code_of(SOURCE)
    moved = RepositoryCode("o/r", "abc", {"pkg/n.py": SOURCE})
    snippet = snippet_of(code, "train")
    asks = [
        Ask(Question.LOSS_RELATED, snippet),
        Ask(Question.TRAINING_LOOP, snippet),
        Ask(Question.TRAINING_LOOP, replace(snippet, start_line=snippet.start_line + 1)),
        Ask(Question.TRAINING_LOOP, replace(snippet, qualname="other")),
        Ask(Question.TRAINING_LOOP, replace(snippet, path="pkg/n.py")),
    ]
    rendered = [rules_messages(ask, code) for ask in asks] + [rules_messages(asks[1], moved)]
    assert len(set(rendered)) == len(rendered)


@pytest.mark.parametrize(
    ("base", "decision"), [("Base", "Decision: False"), ("nn.Module", "Decision: True")]
)
def test_bases_that_are_ignored_leave_what_the_class_itself_names(base: str, decision: str) -> None:
    code = code_of(
        "from torch import nn\n\n\nclass Base(nn.Module):\n    pass\n\n\n"
        f"class Net({base}):\n    def encode(self, x):\n        return x.matmul(self.w)\n"
    )
    ask = Ask(Question.MODEL_DEFINITION, snippet_of(code, "Net.encode"))
    request = Request(ask, rules_messages(ask, code), first_draw=0, draws=1)
    follow, ignore = RulesJudge(lambda _: code), RulesJudge(lambda _: code, "ignore")
    answers = [next(judge.answer([request])).answers[0].text for judge in (follow, ignore)]
    assert [a.splitlines()[-1] for a in answers] == ["Decision: True", decision]
    assert follow.settings.sha256 != ignore.settings.sha256


@pytest.mark.parametrize("text", ["", "x", "def", "def f(", "for", "\ud800", "class C:\n  def f"])
def test_a_snippet_that_its_file_does_not_hold(text: str) -> None:
    snippet = Snippet("o/r", None, "gone.py", 7, 9, Kind.FUNCTION, "f", None, text)
    for question in Question:
        assert rule(question, snippet, code_of(SOURCE)).decision is False


def test_a_snippet_without_its_file_is_read_by_itself() -> None:
    text = "    def f(a, b):\n        loss = (a - b) ** 2\n        return loss"
    snippet = Snippet("o/r", None, "gone.py", 7, 9, Kind.METHOD, "C.f", "C", text)
    assert rule(Question.LOSS_DEFINITION, snippet, code_of("")).decision is True


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    loss = " + "(" * 3000 + "x" + ")" * 3000 + "\n    return loss\n",
        "def f(x):\n    loss = x" + " + x" * 3000 + "\n    return loss\n",
        "def f(x):\n    loss = x" + ".mean()" * 2000 + "\n    return loss\n",
        "def f(x):\n    loss = x" + "[0]" * 2000 + "\n    return loss\n",
        "def f(x):\n    loss = " + "g(" * 1500 + "x" + ")" * 1500 + "\n    return loss\n",
        "def f(x):\n"
        + "".join("  " * i + "for a in x:\n" for i in range(1, 300))
        + " " * 600
        + "x",
        "".join("  " * i + "def f(x):\n" for i in range(99)) + " " * 198 + "return x\n",
        "def f(x):\n    " + "a = " * 2000 + "x\n",
    ],
    ids=["brackets", "sum", "chain", "index", "calls", "loops", "functions", "targets"],
)
def test_depth_is_no_danger(text: str) -> None:
    assert all(isinstance(r, Ruling) for r in rulings(code_of(text)))


@settings(max_examples=60)
@given(data=st.data())
def test_mutilated_code_is_answered(data: st.DataObject) -> None:
    text = SOURCE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 60))
        filler = data.draw(
            st.sampled_from(["", "(", ")", ":\n", "\n  ", "def f(", "=", "'", "é", "\t"])
        )
        text = text[:start] + filler + text[start + length :]
    for ruling in rulings(code_of(text)):
        assert isinstance(ruling, Ruling)


@settings(max_examples=60)
@given(text=st.text(max_size=200))
def test_text_that_is_no_code_is_answered(text: str) -> None:
    code = code_of(f"def f():\n  {text}\nfor x in y:\n  {text}\n")
    assert len(rulings(code)) % len(Question) == 0
