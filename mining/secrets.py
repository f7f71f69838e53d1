"""Credentials in a study: found before the study is written into its run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mining.errors import StudyError
from mining.study import Study

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s\"']+@")
_PASSWORD = re.compile(r"https?://[^/?#]*@|[^/?#]*://[^/?#@]*:[^/?#]*@", re.IGNORECASE)
"""An address with a name or a token, or of ssh, where a name is none, with a password."""
_SECRET = re.compile(r"token|secret|password|api_?key|credential", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Return text in which no address names a user or a password."""
    return _CREDENTIALS.sub("", text)


def secret_names(settings: Any) -> Iterator[str]:
    """Give the settings, at any depth, that have the name of a credential and hold a text."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            # a limit such as max_tokens is a number
            if isinstance(value, str) and _SECRET.search(name):
                yield name
            yield from secret_names(value)


def refuse_secrets(study: Study) -> None:
    """Raise StudyError for a study that holds a credential: it is kept with its run."""
    urls = study.judge.base_url
    for key, address, instead in (
        ("search.base_url", study.search.base_url, "a token into GITHUB_TOKEN"),
        ("corpus.clone_url", study.corpus.clone_url, "it into git's own configuration"),
        (
            "scale.storage",
            study.scale.storage or "",
            "keys where the storage's own tools read them, "
            "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        *(
            ("judge.base_url", url, "a key into OPENAI_API_KEY")
            for url in ([urls] if isinstance(urls, str) else urls)
        ),
    ):
        if _PASSWORD.match(address):
            raise StudyError(
                f"Expected {key} without a name or password in it, found some, and a study is kept "
                f"with its run; leave them out, and put {instead}."
            )
    for name in secret_names(dict(study.judge.engine)):
        raise StudyError(
            f"Expected no credential in [judge.engine], found {name!r}, and a study is kept with "
            "its run; leave it out, and put it into the environment, such as HF_TOKEN."
        )
