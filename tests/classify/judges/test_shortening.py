import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.judges.shortening import Shortened, Shortener, shortened
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from mining.records import Kind, Snippet

TRAIN = '''\
def train(model, data,
          epochs=3):
    """Train it."""
    print("start")
    print("again")
    options = {
        "a": 1,
    }
    for epoch in range(epochs):
        print(epoch)
        note(epoch)
        if epoch > 1:
            plot(epoch)
            save(epoch)
        with torch.enable_grad():
            for batch in data:
                total = (
                    mse(batch)
                    + penalty(model)
                )
                total.backward()
                log(total)
                log(batch)

    @memo
    def inner(x):
        y = x + 1
        z = y + 1
        return z

    done()
    done()
    return model'''
OUTLINE = """\
def train(model, data,
          epochs=3):
    # ... lines left out here: 6 ...
    for epoch in range(epochs):
        # ... lines left out here: 5 ...
        with torch.enable_grad():
            for batch in data:
                total = (
                    mse(batch)
                    + penalty(model)
                )
                total.backward()
                # ... lines left out here: 3 ...
    @memo
    def inner(x):
        # ... lines left out here: 2 ...
        return z
    # ... lines left out here: 3 ...
    return model"""
SENT = "1-2,9,15-21,25-26,29,33"
PLAIN = "\n".join(f"x{number} = {number}" for number in range(100))


def first(code, rule, share=0.5):
    return next(shortened(code, rule, share))


def test_an_outline_keeps_heads_losses_and_updates():
    assert first(TRAIN, "outline") == Shortened(OUTLINE, SENT, 19)


def test_head_and_tail_say_what_is_missing():
    shorter = first(PLAIN, "head_and_tail", 0.1)
    left_out = shorter.left_out
    lines = shorter.code.split("\n")
    assert lines[:2] == ["x0 = 0", "x1 = 1"]
    assert lines[-1] == "x99 = 99"
    assert f"# ... lines left out here: {left_out} ..." in lines
    assert len(lines) - 1 + left_out == 100


def test_an_outline_that_is_too_long_itself_goes_by_its_ends():
    losses = "\n".join(f"loss{number} = {number}" for number in range(100))
    code = f"{losses}\n" + "\n".join(f"y{number} = 1" for number in range(100))
    versions = list(shortened(code, "outline", 0.5))
    assert versions[0].left_out == 100
    assert versions[0].kept == "1-100"
    assert "loss50" in versions[0].code
    assert "loss50" not in versions[-1].code
    assert versions[-1].code.startswith("loss0 = 0")


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (TRAIN, "refuse"),
        ("x = 1", "head_and_tail"),
        ("a" * 9999 + "\n" + "b" * 9999, "head_and_tail"),
    ],
)
def test_what_cannot_be_shorter_is_not(code, rule):
    assert list(shortened(code, rule, 0.5)) == []


@pytest.mark.parametrize(
    "code",
    [
        "def f(:\n  loss = 1\n" + "  x = (\n" * 50,
        "print 'loss'\n" * 50,
        "if a:\n" + "".join(" " * n + "if a:\n" for n in range(1, 1200)) + " " * 1200 + "loss = 1",
        "\n".join("é loss 🤖" for _ in range(99)),
        "for x in y: loss = x\n" * 99,
    ],
)
@pytest.mark.parametrize("rule", ["outline", "head_and_tail"])
def test_odd_code_is_shortened_too(code, rule):
    versions = list(shortened(code, rule, 0.5))
    assert len(versions[-1].code) < len(code)


LINES = st.lists(
    st.sampled_from(
        [
            "def f():",
            "    loss = a + b",
            "    x = 1",
            "",
            "    if x:",
            "        return",
            "# é",
            "  (",
        ]
    ),
    max_size=60,
)


def numbers(ranges):
    """Return the places, from 0, that ranges of line numbers name."""
    bounds = [part.partition("-")[::2] for part in ranges.split(",") if part]
    return [n - 1 for start, end in bounds for n in range(int(start), int(end or start) + 1)]


@given(LINES, st.sampled_from(["outline", "head_and_tail"]), st.floats(0.01, 0.99))
def test_versions_are_lines_of_the_code_and_count_what_is_missing(lines, rule, share):
    sizes = []
    for shorter in shortened("\n".join(lines), rule, share):
        kept = [line for line in shorter.code.split("\n") if "# ... lines left out" not in line]
        assert len(kept) + shorter.left_out == max(len(lines), 1)
        assert kept == [(lines or [""])[number] for number in numbers(shorter.kept)]
        rest = iter(lines or [""])
        assert all(line in rest for line in kept)  # in their order
        sizes.append(len(kept))
    assert sizes == sorted(sizes, reverse=True)


def test_a_presentation_is_a_prompt_and_says_how_it_came_about():
    snippet = Snippet("o/n", None, "p.py", 1, 31, Kind.FUNCTION, "train", None, TRAIN)
    ask = Ask(Question.LOSS_RELATED, snippet)
    prompts = read_prompts()
    presented = next(Shortener("outline", prompts).presentations(ask, 0.5))
    assert presented.messages == prompts.messages(ask, OUTLINE)
    assert presented.code == OUTLINE
    assert presented.how == {"rule": "outline", "lines_sent": SENT, "lines_left_out": 19}
