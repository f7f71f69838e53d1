"""Of the history of the kernels: where it is kept, and what it says of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HISTORY = Path(__file__).parent / "history"


def pytest_configure(config: pytest.Config) -> None:
    """Keep the history beside the benchmarks, unless the command line says otherwise."""
    if not any(
        str(each).startswith("--benchmark-storage") for each in config.invocation_params.args
    ):
        config.option.benchmark_storage = HISTORY.as_uri()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Leave out whose machine it was."""
    machine_info.pop("node", None)
