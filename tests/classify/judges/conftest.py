"""The real engine and the real server behind the tests marked ``vllm``, once a session each."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec

import pytest

from mining.study import JudgeStudySettings
from tests.classify.judges.tiny_mixtral import make_tiny_mixtral

MAX_MODEL_LEN = 4096

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # no further processes: some 14 s faster to start
    # so small a model has no work for several threads, which would wait for each other
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore",
}
ENGINE = {
    "dtype": "float32",
    "max_model_len": MAX_MODEL_LEN,
    "max_num_seqs": 16,
    "enforce_eager": True,
    "kv_cache_memory_bytes": 2**26,
    # on CPU, a seeded request whose prompt is read in two steps ends the engine
    "enable_chunked_prefill": False,
    "use_tqdm_on_load": False,
}


@pytest.fixture(scope="session")
def tiny_mixtral(tmp_path_factory):
    """Return the folder of a tiny model, with vLLM's environment set before it is imported."""
    if find_spec("vllm") is None:
        pytest.skip("needs vLLM: make test-vllm")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield make_tiny_mixtral(tmp_path_factory.mktemp("tiny_mixtral"), MAX_MODEL_LEN)


@pytest.fixture(scope="session")
def in_process(tiny_mixtral):
    """Return the settings of a judge in this process."""
    return JudgeStudySettings(kind="vllm", model=str(tiny_mixtral), max_tokens=24, engine=ENGINE)


@pytest.fixture(scope="session")
def engine(in_process):
    """Start the one engine of this process; several would share global state."""
    from classify.judges.engine import start

    return start(in_process)


@pytest.fixture(scope="session")
def served(tiny_mixtral, tmp_path_factory):
    """Serve the same model on loopback; return the settings of a judge that asks there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "model": tiny_mixtral,
        "served-model-name": "tiny",
        "host": "127.0.0.1",
        "port": port,
        "dtype": ENGINE["dtype"],
        "max-model-len": MAX_MODEL_LEN,
        "max-num-seqs": ENGINE["max_num_seqs"],
        "kv-cache-memory-bytes": ENGINE["kv_cache_memory_bytes"],
        "uvicorn-log-level": "error",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += [f"--{name}={value}" for name, value in options.items()]
    command += ["--enforce-eager", "--no-enable-chunked-prefill"]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as lines:
        server = subprocess.Popen(command, stdout=lines, stderr=lines, env=os.environ)
    try:
        _wait_until_healthy(server, f"http://127.0.0.1:{port}/health", log)
        yield JudgeStudySettings(
            kind="openai", model="tiny", base_url=f"http://127.0.0.1:{port}/v1", max_tokens=24
        )
    finally:
        server.terminate()
        server.wait(60)


def _wait_until_healthy(server, url, log):
    patience = time.monotonic() + 240
    while server.poll() is None and time.monotonic() < patience:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"vLLM's server did not start:\n{log.read_text()}")
