"""What is fuzzed: by name, a function that takes any bytes and raises where something breaks.

One list for three uses: hypothesis makes inputs in `make test` (test_fuzz.py), the inputs that
once broke something are replayed there (corpus/<target>/), and benchmarks/fuzz.py has atheris
look for more, led by coverage.
"""

from collections.abc import Callable, Mapping

from tests.fuzz import code_targets, command_targets, file_targets, table_targets

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (
        code_targets.extraction,
        code_targets.notebook,
        code_targets.rules,
        code_targets.shortening,
        file_targets.answer,
        file_targets.study,
        file_targets.gold,
        file_targets.labels_import,
        file_targets.desk,
        file_targets.commits,
        file_targets.loss_names,
        file_targets.sidecar,
        file_targets.search,
        file_targets.reply,
        file_targets.server,
        file_targets.votes,
        table_targets.table,
        command_targets.command_line,
        command_targets.package,
    )
}
