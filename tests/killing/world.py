"""A small study with every stage: a GitHub, a git host and a model, all on loopback, that count."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.classify.judges.llm_server import LLMServer, completion, refusal
from tests.killing.harness import Command, copied, run
from tests.killing.warm import Warm
from tests.losses import BASE, MODEL, TRAIN
from tests.mining.git_server import GitServer, Host
from tests.mining.github_server import GitHubServer, item

TOKEN = "github_pat_of_a_test"
REPOSITORIES = {
    "o/one": {"train.py": TRAIN.encode(), "data.bin": b"x" * 100},
    "o/two": {"model.py": MODEL.encode(), "base.py": BASE.encode()},
    "o/three": {"a/verlust_ü.py": TRAIN.replace("l1", "smooth_l1").encode()},
}
RESULTS = {
    "PyTorch CNN": [
        item("o/one", stargazers_count=9),
        item("o/gone", stargazers_count=5),
        item("o/fork", fork=True),
        *(item(f"p/r{number}", stargazers_count=1) for number in range(5)),
    ],
    "PyTorch GAN": [item("o/two", stargazers_count=7), item("o/three", stargazers_count=6)],
}
QUESTIONS = ("loss_related", "loss_definition", "training_loop", "model_definition")
YES = {
    "loss_related": ("def loss", "for x, y"),
    "loss_definition": ("def loss", "for x, y"),
    "model_definition": ("def forward",),
}


class Model(LLMServer):
    """A model that says the same each time, but of ``show``, and fails now and then.

    ``paid`` are the votes that it gave, as (prompt, seed), in order. ``before`` is called with
    their number ahead of each answer.
    """

    def __init__(self) -> None:
        super().__init__(self._vote)
        self.paid: list[tuple[str, int]] = []
        self.fails_every = 7
        self.before = lambda votes: None
        self._requests = 0
        self._counting = threading.Lock()

    def _vote(self, body):
        text = body["messages"][-1]["content"]
        question, _, code = text.partition(":\n")
        code = code.partition("\n")[2]
        truth = code.startswith(YES.get(question, ()))
        seeds = range(body["seed"], body["seed"] + body["n"])
        with self._counting:
            self._requests += 1
            if self._requests % self.fails_every == 0:
                return refusal(503, "busy")
            self.before(len(self.paid))
            self.paid += [(text, seed) for seed in seeds]
        wavers = code.startswith("    def show") or code.startswith("def show")
        return completion(
            [f"Hm.\nDecision: {truth != (wavers and seed % 4 == 0)}" for seed in seeds]
        )

    def settle(self) -> None:
        """Wait for requests under way, whose asker may be gone."""
        while self.at_once:
            time.sleep(0.005)


@dataclass
class Case:
    """A command, and the place in which it begins."""

    command: Command
    before: Path


@dataclass
class World:
    """Servers, studies, and the places in which each command begins and ends."""

    folder: Path
    cases: dict[str, Case] = field(default_factory=dict)

    def __enter__(self) -> World:
        self._stack = ExitStack()
        self.folder.mkdir(parents=True, exist_ok=True)
        host = Host(self.folder / "host")
        for name, files in REPOSITORIES.items():
            host.add(name, files)
        self.github = self._stack.enter_context(GitHubServer(RESULTS))
        self.github.token, self.github.per_minute = TOKEN, 1_000_000
        self.git = self._stack.enter_context(GitServer(host.folder))
        self.model = self._stack.enter_context(Model())
        self._write_studies()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _write_studies(self) -> None:
        prompts = self.folder / "prompts"
        prompts.mkdir()
        for question in QUESTIONS:
            (prompts / f"{question}.md").write_text(f"{question}:\n{{code}}\n")
        gold = ["repository,path,start_line,label"]
        gold += ["o/one,train.py,2,loss_unknown", "o/one,train.py,4,no_loss"]
        gold += ["o/one,train.py,6,loss_in_runner", "o/two,model.py,4,loss_in_model"]
        (self.folder / "gold.csv").write_text("\n".join(gold) + "\n")
        study = f"""
            name = "s"
            [search]
            frameworks = ["PyTorch"]
            architectures = ["CNN", "GAN"]
            base_url = "{self.github.base_url}"
            [sensitivity]
            draws = 20
            [corpus]
            clone_url = "{self.git.clone_url}"
            [prompts]
            folder = "prompts"
            [evaluation]
            gold = "gold.csv"
            [judge]
            """
        model = f'kind = "openai"\nmodel = "tiny"\nbase_url = "{self.model.base_url}"\n'
        (self.folder / "rules.toml").write_text(f'{study}kind = "rules"\n')
        (self.folder / "model.toml").write_text(f"{study}{model}concurrency = 2\n")

    @property
    def model_study(self) -> str:
        return str(self.folder / "model.toml")

    @property
    def rules_study(self) -> str:
        return str(self.folder / "rules.toml")

    def build(self, wanted: set[str] | None = None, warm: Warm | None = None) -> None:
        """Run every command once, in order, and keep the place in which each begins.

        It ends with the last command of ``wanted``, where that is given; others are left out of
        ``cases``. ``warm`` forks them.
        """
        place = self.folder / "building" / "place"
        place.mkdir(parents=True)
        commands = self._commands()
        last = max(map(list(commands).index, wanted)) if wanted else len(commands)
        for number, (name, command) in enumerate(commands.items()):
            if number > last:
                return
            if not wanted or name in wanted:
                before = self.folder / "before" / name
                before.parent.mkdir(exist_ok=True)
                copied(place, before)
                self.cases[name] = Case(command, before)
            if name in ("classify-rules", "run"):
                continue  # the others go on without
            ended = run(replace(command, warm=warm), place)
            assert ended.status == 0, (name, ended.said)

    def _commands(self) -> dict[str, Command]:
        environment = {"GITHUB_TOKEN": TOKEN}

        def of(*words: str, study: str = self.model_study) -> Command:
            arguments = [words[0], study, *words[1:], "--run-dir", "run"]
            return Command(words[0], arguments, environment=environment)

        def alone(*words: str) -> Command:
            return Command(words[0], words, environment=environment)

        export = {
            f"export-{to}": of("export", "--to", to, "--out", out)
            for to, out in (
                ("huggingface", "hub"),
                ("label-studio", "studio"),
                ("argilla", "argilla"),
                ("csv", "snippets.csv"),
                ("sqlite", "votes.db"),
            )
        }
        exported = self.folder / "labelled.json"
        exported.write_text(json.dumps([_annotated(1), _annotated(2)]))
        return {
            "run": of("run"),
            "search": of("search"),
            "rank": of("rank"),
            "rank-sensitivity": of("rank", "--sensitivity"),
            "fetch": of("fetch"),
            "extract": of("extract"),
            "loss-names": of("loss-names", "--out", "names.csv"),
            "classify-rules": of("classify", study=self.rules_study),
            "plan": of("plan", "--pilot", "4"),
            "classify": of("classify"),
            "evaluate": of("evaluate"),
            "types": of("types"),
            "paper": of("paper"),
            "sample": of("sample", "--out", "queue.csv", "--design", "random", "--labels", "5"),
            "label": replace(
                alone(
                    *("label", "queue.csv", "--reader", "ann", "--run", self.model_study),
                    *("--run-dir", "run"),
                ),
                keys=_labels_left,
            ),
            **export,
            "import-labels": alone("import-labels", str(exported), "--out", "gold.csv"),
            "bundle": of("bundle", "--out", "bundle.zip"),
            "verify": alone("verify", "bundle.zip"),
            "report": of("report"),
        }


def _labels_left(place: Path) -> str:
    """Return what a person types who has labelled some of the five snippets already."""
    labelled = place / "queue.ann.csv"
    done = len(labelled.read_text().splitlines()) - 1 if labelled.exists() else 0
    return "\n".join([*"nmrnn"[done:], ""])


def _annotated(number: int) -> dict[str, object]:
    """Return a task of Label Studio's with one label."""
    choice = {"from_name": "label", "type": "choices", "value": {"choices": ["no_loss"]}}
    return {
        "data": {"repository": "o/one", "path": "train.py", "start_line": 2 * number},
        "annotations": [{"completed_by": 1, "result": [choice]}],
    }


def stored_votes(store: Path) -> set[tuple[str, int]]:
    """Return the votes that a store holds, as (prompt, seed)."""
    if not store.exists():
        return set()
    with closing(sqlite3.connect(store)) as opened:
        try:
            rows = opened.execute(
                "SELECT messages, seed FROM votes JOIN prompts USING (prompt_sha256)"
            ).fetchall()
        except sqlite3.OperationalError:  # killed before it had its tables
            return set()
    return {(json.loads(messages)[-1][1], seed) for messages, seed in rows}


def repeated(paid: list[tuple[str, int]]) -> int:
    """Return how many votes were paid for once more."""
    return sum(count - 1 for count in Counter(paid).values())
