import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from importlib.util import find_spec

import pytest

from classify.classification import STORE, classify
from classify.errors import JudgeError
from classify.judges import Request, vllm
from classify.judges.shortening import Shortener
from classify.judges.vllm import VllmJudge
from classify.prompts import read_prompts
from classify.questions import Ask, Question
from classify.votes import reading
from mining.artifacts import Run
from mining.errors import StudyError
from mining.extraction import extract_corpus
from mining.records import Kind, Snippet
from mining.study import (
    CorpusSettings,
    JudgeStudySettings,
    PromptSettings,
    ScaleSettings,
    Study,
    write_study,
)
from tests.sources import source_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
needs_vllm = pytest.mark.vllm
patient = pytest.mark.timeout(900)  # some engines start, one after the other

ON_RAY = ScaleSettings(engine="ray", address="local", workers=2)


def request(text="Is it so?", first_draw=0, draws=5, question=Question.LOSS_RELATED):
    snippet = Snippet("o/n", None, "p.py", 1, 1, Kind.FUNCTION, text[:20], None, text)
    return Request(Ask(question, snippet), (("user", text),), first_draw, draws)


def below(number):
    """Return the living processes that a process has started, and those that these have."""
    import psutil  # vLLM needs it too

    return [each for each in psutil.Process(number).children(recursive=True) if lives(each)]


def lives(process):
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def engines():
    """Return the processes of engines on the cluster of this process.

    They are found by their place, as what a worker of Ray starts: they and Ray's give themselves
    titles, which write over their command line and, as it happens, over their environment.
    """
    import psutil

    known = ["ppid", "name", "cmdline", "status"]
    every = {each.pid: each.info for each in psutil.process_iter(known)}

    def parent(process):
        return every.get(process["ppid"], {"ppid": None, "name": ""})

    return [
        psutil.Process(number)
        for number, process in every.items()
        if process["status"] != psutil.STATUS_ZOMBIE
        and (raylet := parent(parent(process)))["name"] == "raylet"
        and raylet["ppid"] == os.getpid()
        and "resource_tracker" not in " ".join(process["cmdline"])
    ]


def wait_for(condition, seconds=600):
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience, "it does not come about"
        time.sleep(0.1)


@pytest.fixture
def scratch():
    """Return a folder for Ray, whose sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield name


@pytest.fixture
def cluster(tiny_mixtral, scratch, monkeypatch):
    """Let the judge start a cluster of its own, which ends with the test."""
    import ray

    monkeypatch.setenv("RAY_TMPDIR", scratch)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or all else on the machine comes first
    yield
    ray.shutdown()


CODE = "".join(f"def loss_{number}(x, y):\n    return x - {number} * y\n\n" for number in range(30))
LONG = "def long(x):\n" + "    x = x + 1\n" * 600

# without a cluster


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_the_judge_has_the_settings_of_the_one_in_process_so_that_they_share_votes():
    from classify.judges.ray import RayVllmJudge

    settings = JudgeStudySettings(kind="vllm", model="m", engine={"tensor_parallel_size": 2})
    judge = RayVllmJudge(settings, ON_RAY)
    assert judge.settings == VllmJudge(settings).settings
    assert list(judge.answer([])) == []


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_what_cannot_be_right_is_said_before_anything_starts():
    from classify.judges.ray import RayVllmJudge

    with pytest.raises(StudyError, match="dtype"):
        RayVllmJudge(JudgeStudySettings(kind="vllm", engine={"dtype": "float3"}), ON_RAY)
    with pytest.raises(StudyError, match="address"):
        RayVllmJudge(JudgeStudySettings(kind="vllm"), ScaleSettings(address="nowhere"))


@pytest.mark.parametrize(
    ("scale", "engine", "gpus", "engines"),
    [
        ({}, {}, 8, 8),
        ({}, {"tensor_parallel_size": 2}, 8, 4),
        ({}, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, 7, 1),
        ({"engines": 3}, {}, 8, 3),
        ({"engines": 3}, {}, 0, 3),  # the cluster grows
        ({}, {}, None, 1),  # on CPU
        ({"engines": 2}, {}, None, 2),
    ],
)
def test_as_many_engines_as_there_are_gpus_for(scale, engine, gpus, engines):
    from classify.judges.ray import engines_of

    assert engines_of(ScaleSettings(**scale), engine, gpus) == engines


def test_a_cluster_without_a_gpu_for_an_engine():
    from classify.judges.ray import engines_of

    with pytest.raises(JudgeError, match=r"with 4 GPUs or more .* found 3"):
        engines_of(ScaleSettings(), {"tensor_parallel_size": 4}, 3)


def test_what_is_open_comes_at_once_and_again_alike():
    from classify.judges.ray_source import Open

    async def story():
        source = Open(2)
        waiting = asyncio.create_task(source.block(0))
        await source.add({0: "a"}, [])
        assert await waiting == {0: "a"}  # it waits for no second one
        await source.add({1: "b", 2: "c", 3: "d"}, [])
        blocks = [await source.block(place) for place in (1, 2)]
        assert blocks == [{1: "b", 2: "c"}, {3: "d"}]
        # a worker is lost, and Ray asks from the first on: what is answered has gone
        await source.add({4: "e"}, [0, 2])
        again = [await source.block(place) for place in range(4)]
        assert again == [{}, {1: "b"}, {3: "d"}, {4: "e"}]

    asyncio.run(story())


# on real Ray, with a real engine


@needs_vllm
@patient
def test_the_same_completions_as_in_process_whatever_dies(in_process, engine, cluster, monkeypatch):
    from classify.judges.ray import RayVllmJudge

    prompts = read_prompts()
    snippet = Snippet("o/n", None, "p.py", 1, 601, Kind.FUNCTION, "long", None, LONG.strip())
    ask = Ask(Question.LOSS_RELATED, snippet)
    first = [
        *(request(f"Question {number}?") for number in range(12)),
        request(first_draw=5, draws=2),
        Request(ask, prompts.messages(ask), 0, 2),  # too long, and shortened
    ]
    later = [request(f"Question {number}, then?", draws=3) for number in range(40)]
    shortener = Shortener("outline", prompts)
    monkeypatch.setattr(vllm, "start", lambda study: engine)
    expected = {
        completion.request.prompt_sha256: completion
        for completion in VllmJudge(in_process, shortener).answer(first + later)
    }

    seen = []

    def requests():
        yield from first
        while len(seen) < len(first):  # no further one is open until these are answered
            yield None
        yield from later
        while len(seen) < len(first) + len(later):
            yield None
        asked = request()
        yield Request(asked.ask, (("system", "Be brief."), *asked.messages), 0, 1)

    with pytest.raises(JudgeError, match="must alternate"):  # for the last one
        for completion in RayVllmJudge(in_process, ON_RAY, shortener).answer(requests()):
            seen.append(completion)
            assert completion == expected.pop(completion.request.prompt_sha256)
            # the engine dies; Ray starts another, and asks it again
            if len(seen) == len(first) + 2:
                [killed] = engines()
                killed.kill()
            if len(seen) == len(first) + len(later):
                [other] = engines()
    assert not expected
    assert sum("too_long" in completion.provenance for completion in seen) == 1
    # the engine is given back
    assert other != killed
    wait_for(lambda: not lives(other))


@needs_vllm
@patient
def test_what_is_waited_for_is_said_while_no_engine_runs(in_process, cluster, monkeypatch):
    import ray

    from classify.judges import ray_silence
    from classify.judges.ray import RayVllmJudge
    from mining.engines.ray import join

    scale = ON_RAY.model_copy(update={"workers": 1})
    join(scale)
    occupant = ray.remote(num_cpus=1)(Counter).remote()  # the only core, so that no engine starts
    monkeypatch.setattr(ray_silence, "_LOOK_S", 0.1)
    monkeypatch.setattr(ray_silence, "_SILENT_S", 3)
    told = []

    def tell(line):
        if not told:
            ray.kill(occupant)
        told.append(line)

    monkeypatch.setattr(ray_silence, "say", tell)
    [completion] = RayVllmJudge(in_process, scale).answer([request()])
    assert len(completion.answers) == 5
    assert "no engine of vLLM runs on the Ray cluster; waiting until one has" in told[0]


@needs_vllm
@patient
def test_a_model_that_cannot_be_loaded(in_process, cluster):
    from classify.judges.ray import RayVllmJudge

    study = in_process.model_copy(update={"model": "nobody/nothing"})
    with pytest.raises(JudgeError, match="load nobody/nothing, found that it cannot") as raised:
        next(RayVllmJudge(study, ON_RAY).answer([request()]))
    assert "\n" not in str(raised.value)


@needs_vllm
@patient
def test_a_driver_that_is_killed_half_way_asks_no_stored_vote_again(
    in_process, cluster, tmp_path, monkeypatch
):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "losses.py").write_text(CODE + LONG)
    run = Run(tmp_path / "run")
    extract_corpus(run, [source_of("o/n", corpus)], [], CorpusSettings(), {}, ScaleSettings())
    judge = in_process.model_copy(update={"structured": True, "max_tokens": 40})
    prompts = PromptSettings(too_long="refuse")
    study = Study(name="tiny", judge=judge, scale=ON_RAY, prompts=prompts)
    write_study(study, tmp_path / "study.json")

    def votes():
        if not run.path(STORE).exists():
            return {}
        query = "SELECT prompt_sha256, draw, text, finish_reason, seed, answered_at FROM votes"
        with closing(sqlite3.connect(run.path(STORE))) as store:
            try:
                return {tuple(row[:2]): row[2:] for row in store.execute(query)}
            except sqlite3.OperationalError:
                return {}

    driver = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from classify.classification import classify;"
            "from mining.artifacts import Run; from mining.study import read_study;"
            "classify(read_study(Path(sys.argv[1])), Run(Path(sys.argv[2])))",
            tmp_path / "study.json",
            run.path("."),
        ],
    )
    try:
        wait_for(lambda: driver.poll() is not None or len(votes()) > 20)
        family = below(driver.pid)
    finally:
        driver.kill()
        driver.wait()
    kept = votes()
    assert len(kept) > 20
    # its cluster and its engine end with it
    assert family
    wait_for(lambda: not any(map(lives, family)))

    spent = classify(study, run)
    after = votes()
    assert kept.items() <= after.items()
    assert spent.votes == len(after) - len(kept) > 0
    assert spent.refused <= 1  # the long one, unless the first driver came to it
    for text, finish_reason, *_ in after.values():
        assert reading(text, finish_reason).decision is not None

    # and in this process nothing is left to be asked
    monkeypatch.delattr(vllm, "start")
    assert classify(study.model_copy(update={"scale": ScaleSettings()}), run) is None
