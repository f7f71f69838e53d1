"""The three clients, each with one small task: a search, a fetch, votes; and how each may end."""

import shutil
import time
from contextlib import contextmanager

from classify import classification
from mining.artifacts import Run
from mining.fetch import fetch_repositories
from mining.github import search_all
from mining.study import CorpusSettings, ScaleSettings, SearchSettings, override

TOKEN = "ghp_markedToken"
KEY = "sk-marked-key"
HURRY_S = 0.2
"""The time for a request that is never to be answered."""
BOUND_S = 60
"""Far more than any of a test's waits add up to, and far less than a hang."""


class Waits(list):
    def __call__(self, seconds, why):
        self.append(seconds)

    def now(self):
        return sum(self)


def search(folder, port, scheme="http", host="127.0.0.1", **settings):
    waits = Waits()
    fields = {"frameworks": ("PyTorch",), "architectures": ("CNN",)}
    study = SearchSettings(**fields, base_url=f"{scheme}://{host}:{port}", **settings)
    run = Run(folder)
    search_all(run, study, lambda: (TOKEN,), waits, waits.now)
    return run


def classify(extracted, folder, port, scheme="http", host="127.0.0.1", **settings):
    study, run = extracted
    if not folder.exists():
        shutil.copytree(run.folder, folder)
    address = f"{scheme}://{host}:{port}/v1"
    judge = {"kind": "openai", "model": "tiny", "base_url": address, "votes": 3, **settings}
    run = Run(folder)
    classification.classify(override(study, judge=judge), run)
    return run


def fetch(folder, port, scheme="http", host="127.0.0.1", names=("ada/net",), **settings):
    url = f"{scheme}://{host}:{port}/{{repository}}.git"
    run = Run(folder)
    corpus, wanted = CorpusSettings(clone_url=url, **settings), dict.fromkeys(names)
    return fetch_repositories(run, wanted, corpus, Waits(), scale=ScaleSettings())


def port_of(server):
    return server.server_address[1]


@contextmanager
def bounded():
    """Fail after a bound that no clock of a busy machine reaches."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < BOUND_S


def refused(raised, *words):
    message = str(raised.value)
    assert message.startswith("Expected ") and ", found " in message and message.isprintable()
    assert [word for word in words if word not in message] == []
    assert TOKEN not in message and KEY not in message
