"""The command line, and a small corpus that a model judges: its server answers by a table."""

import io
import sys
import threading
from collections import Counter

import pytest

from classify import cli
from mining import pipeline as mining
from mining.artifacts import Run
from mining.study import Study, override
from tests.classify.judges.llm_server import LLMServer, completion, refusal
from tests.losses import BASE, MODEL, TRAIN
from tests.opening import begin

FILES = {
    "o__one/train.py": TRAIN,
    "o__two/model.py": MODEL,
    "o__two/base.py": BASE + "def helper(path):\n    return open(path)\n",
}
YES = {
    "loss_related": ("def loss", "def loss_of", "for x, y"),
    "loss_definition": ("def loss", "def loss_of", "for x, y"),
    "model_definition": ("def forward",),
}
"""What the model says yes to: the beginnings of the snippets, by question."""


class Model(LLMServer):
    """Says the same each time, but of ``show``, of which every fourth vote is the opposite.

    ``errors`` gives the status of a refusal by a part of the prompt. ``cut_at`` is the limit of
    tokens below which an answer is cut off before it decides.
    """

    def __init__(self):
        super().__init__(self.vote)
        self.errors = {}
        self.cut_at = 0
        self.votes = Counter()
        self._counting = threading.Lock()

    def vote(self, body):
        text = body["messages"][-1]["content"]
        for part, status in self.errors.items():
            if part in text:
                return refusal(status, "maximum context length" if status == 400 else "down")
        question, _, code = text.partition(":\n")
        code = code.partition("\n")[2]
        truth = any(code.startswith(each) for each in YES.get(question, ()))
        wavers = code.startswith("def show")
        with self._counting:
            self.votes.update((text, body["seed"] + i) for i in range(body["n"]))
        reply = completion(
            [
                f"Hm.\nDecision: {truth != (wavers and (body['seed'] + i) % 4 == 0)}"
                for i in range(body["n"])
            ]
        )
        if body.get("max_tokens", 10_000) < self.cut_at:
            for choice in reply.body["choices"]:
                choice["finish_reason"] = "length"
                choice["message"]["content"] = "Hm."
        return reply


@pytest.fixture
def model():
    with Model() as server:
        yield server


@pytest.fixture
def judged(tmp_path, model):
    """Return a study whose judge is the model, and its extracted run."""
    for path, text in FILES.items():
        place = tmp_path / "corpus" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (tmp_path / "prompts").mkdir()
    for question in ("loss_related", "loss_definition", "training_loop", "model_definition"):
        (tmp_path / f"prompts/{question}.md").write_text(f"{question}:\n{{code}}\n")
    study = override(
        Study(name="s"),
        corpus={"local": tmp_path / "corpus"},
        judge={"kind": "openai", "model": "tiny", "base_url": model.base_url, "concurrency": 3},
        prompts={"folder": tmp_path / "prompts"},
    )
    run = Run(tmp_path / "run")
    mining.fetch(*begin(study, run))
    mining.extract(study, run)
    return study, run


@pytest.fixture
def lossplace(monkeypatch, capsys, tmp_path):
    """Run the command line in a folder of its own, with lines for stdin; give what came of it.

    That is its exit status, and what it printed to stdout and stderr.
    """
    monkeypatch.chdir(tmp_path)

    def call(*arguments, keys=()):
        monkeypatch.setattr(sys, "argv", ["lossplace", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{key}\n" for key in keys)))
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call
