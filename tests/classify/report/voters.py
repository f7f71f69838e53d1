"""A stand-in for a language model: it answers with reasons, and does not always agree with itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from classify import pipeline
from mining.artifacts import Run
from mining.study import Study, override
from tests.classify.judges.llm_server import Body, LLMServer, Reply, completion
from tests.opening import classified

SIGNS = {
    "training_loop": r"\.backward\(|\.minimize\(|optimizer\.step|sess\.run|GradientTape",
    "model_definition": r"nn\.|def forward|Dense\(|Conv|tf\.layers|tf\.Variable|self\.net",
    "loss_definition": r"loss.*[-+*]|mean\(.*\*\*|\.pow\(2\)|cross_entropy",
    "loss_related": r"loss|cost|objective|criterion",
}
HEADS = {
    "contains a training loop": "training_loop",
    "defines a neural network": "model_definition",
    "loss is defined in it": "loss_definition",
}


def say(body: Body) -> Reply:
    """Answer by a sign in the code; of five draws of an unclear case, one or two err."""
    prompt = body["messages"][-1]["content"]
    question = _question(prompt)
    code = prompt.rpartition("The code:")[2]
    found = re.search(SIGNS[question], code)
    digest = hashlib.sha256(code.encode("utf-8", "replace") + question.encode()).digest()
    texts: list[str | None] = []
    for number in range(body["n"]):
        first = body["seed"] + number
        errs = digest[0] < 90 and (digest[1] + first) % 5 < 1 + digest[2] % 2
        texts.append(_answer(question, found.group() if found else None, errs, first))
    return completion(texts)


def _question(prompt: str) -> str:
    start = prompt[:400].lower()
    return next((q for sign, q in HEADS.items() if sign in start), "loss_related")


def _answer(question: str, sign: str | None, errs: bool, seed: int) -> str:
    decided = (sign is not None) != errs
    seen = f"it holds `{sign}`" if sign else "nothing in it points that way"
    return "\n".join(
        [
            f"Let me read the code step by step. The question is {question.replace('_', ' ')}.",
            f"1. What I notice first: {seen}.",
            "2. A name alone is not enough; what is done with the value decides."
            if seed % 2
            else "2. Its callers are not shown, so I judge by what stands here.",
            "3. On balance I am "
            + ("not sure of it, but lean that way." if errs else "confident."),
            f"Decision: {decided}",
        ]
    )


def vote(study: Study, folder: Path, answer: Callable[[Body], Reply] = say, votes: int = 5) -> Run:
    """Finish a run of a study with a server that answers; the run needs no server afterwards.

    No figure is drawn.
    """
    with LLMServer(answer) as server:
        study = override(
            study,
            judge={
                "kind": "openai",
                "model": "stand-in/reasoner-7b",
                "base_url": server.base_url,
                "votes": votes,
            },
        )
        run = Run(folder)
        classified(study, run)
    pipeline.paper(study, run, drawings=False)
    return run
