"""A run as a command's first step leaves it: its study is noted, no stage has worked."""

from mining.artifacts import Run
from mining.opening import writing
from mining.study import Study


def begin(study: Study, run: Run) -> tuple[Study, Run]:
    """Note the study in the run's folder, as every command that writes does; give both back."""
    with writing(study, run) as opened:
        return opened
