"""Finished runs to bundle: one judged by the rules, one by a model behind a loopback server."""

import subprocess

import pandas as pd

from classify import pipeline
from mining import pipeline as mining
from mining.artifacts import Artifact, Run
from mining.rank import RANKING
from mining.study import Study, override
from tests.classify.judges.llm_server import LLMServer, completion, refusal

OPEN, CLOSED, UNKNOWN = "open/mit", "closed/all-rights", "none/at-all"
LICENSES = {OPEN: "MIT", CLOSED: "NOASSERTION", UNKNOWN: None}

TRAIN = (
    "import torch.nn.functional as F\n"
    "def loss_of(out, y, w):\n"
    "    return F.l1_loss(out, y) + w * F.mse_loss(out, y)\n"
    "def usage(out, y):\n"
    "    return F.mse_loss(out, y)\n"
    "for x, y in loader:\n"
    "    loss = F.l1_loss(net(x), y) + 0.1 * net.weight.pow(2).sum()\n"
    "    loss.backward()\n"
    "    optimizer.step()\n"
)
MODEL = (
    "import torch.nn as nn\n"
    "class Net(nn.Module):\n"
    "    def __init__(self):\n"
    "        super().__init__()\n"
    "        self.layer = nn.Linear(2, 2)\n"
    "    def loss(self, x, y):\n"
    "        return ((self.layer(x) - y) ** 2).mean() + self.penalty()\n"
)
ODD = "def undecided(a, b):\n    return a - b\ndef too_long(a, b):\n    return a + b\n"
FILES = {
    OPEN: {"train.py": TRAIN, "odd.py": ODD},
    CLOSED: {"model.py": MODEL, "secret.py": "def closed_source(a):\n    return a\n"},
    UNKNOWN: {"train.py": TRAIN.replace("loss_of", "cost_of")},
}
GOLD = (
    "repository,path,start_line,label,unknown_type\n"
    f"{OPEN},train.py,2,loss_unknown,standalone_model_output_only\n"
    f"{OPEN},train.py,6,loss_in_runner,\n"
    f"{CLOSED},model.py,6,loss_in_model,\n"
    f"{UNKNOWN},train.py,4,no_loss,\n"
)


def finished(folder, **judge):
    """Return the study and the run of the three repositories, as if GitHub had given them."""
    for repository, files in FILES.items():
        place = folder / "corpus" / repository.replace("/", "__")
        for path, text in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text)
    git(folder / "corpus" / "open__mit")
    (folder / "gold.csv").write_text(GOLD)
    study = override(
        Study(name="tiny"),
        corpus={
            "local": folder / "corpus",
            "clone_url": "https://user:hunter2@git.example/{repository}.git",
        },
        evaluation={"gold": folder / "gold.csv"},
        judge=judge,
    )
    run = Run(folder / "run")
    ranking = pd.DataFrame(LICENSES.items(), columns=["repository", "license"])
    notes = {"as_of": "2024-02-20T00:00:00Z"}
    run.write(RANKING, ranking, Artifact("rank", {}, {}, notes=notes))
    mining.fetch(study, run)
    mining.extract(study, run)
    pipeline.classify(study, run)
    cluster = {"engine": "ray", "address": "head.internal:6379", "storage": "s3://internal/runs"}
    return override(study, scale=cluster), run


def finished_by_model(folder):
    """Have a model judge: one prompt is refused, one has no majority, all others say yes."""
    with LLMServer(_say) as server:
        return finished(
            folder, kind="openai", model="tiny", base_url=server.base_url, votes=2, concurrency=1
        )


def git(folder):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", folder, *command], check=True)


def _say(body):
    prompt = body["messages"][0]["content"]
    if "too_long" in prompt:
        return refusal(400, "maximum context length exceeded", code="context_length_exceeded")
    says = ["True", "False"] if "undecided" in prompt else ["True", "True"]
    return completion([f"Because.\nDecision: {each}" for each in says])
