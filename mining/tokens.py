"""The user's GitHub tokens: where they are found. They are never written, logged or shown."""

from __future__ import annotations

import os
import re
import subprocess

from mining.errors import StudyError


def find_tokens() -> tuple[str, ...]:
    """Return the user's GitHub tokens, in the order given, each once.

    They stand in ``GITHUB_TOKENS`` or ``GITHUB_TOKEN``, with commas between them; else there is
    that of ``gh auth token``. Raises StudyError, which says how to get one.
    """
    for variable in ("GITHUB_TOKENS", "GITHUB_TOKEN"):
        tokens = [token.strip() for token in os.environ.get(variable, "").split(",")]
        tokens = list(dict.fromkeys(filter(None, tokens)))
        if tokens:
            break
    else:
        variable, tokens = "gh auth token", list(filter(None, [_token_of_gh()]))
    if not tokens:
        raise StudyError(
            "Expected a GitHub token in GITHUB_TOKEN or from `gh auth token`, found neither; "
            "make one at https://github.com/settings/tokens (it needs no scope) and export it "
            "as GITHUB_TOKEN, or run `gh auth login`."
        )
    # an unsendable header would be quoted, token and all, by the error that it causes
    if not all(re.fullmatch("[!-~]+", token) for token in tokens):
        raise StudyError(
            f"Expected tokens in {variable} with commas between them, found blanks or special "
            "characters within one; copy it again."
        )
    return tuple(tokens)


def _token_of_gh() -> str:
    try:
        answer = subprocess.run(
            ["gh", "auth", "token"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
