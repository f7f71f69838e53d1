import pytest

from mining.errors import StudyError
from mining.tokens import find_tokens


@pytest.mark.parametrize(
    ("token", "tokens", "gh", "expected"),
    [
        ("ghp_a", None, None, ["ghp_a"]),
        (" ghp_a\n", None, None, ["ghp_a"]),
        ("ghp_a", None, "echo gho_b", ["ghp_a"]),
        ("ghp_b, ghp_a,,ghp_b", None, None, ["ghp_b", "ghp_a"]),
        ("ghp_a", "ghp_b,ghp_c", None, ["ghp_b", "ghp_c"]),
        ("ghp_a", "", None, ["ghp_a"]),
        ("", None, "echo gho_b", ["gho_b"]),
        (" ,", None, "echo gho_b", ["gho_b"]),
        (None, None, "echo gho_b", ["gho_b"]),
        (None, None, "echo gho_b; exit 1", None),
        (None, None, "exit 0", None),
        (None, None, None, None),
        ("ghp_a b", None, None, None),
        ("ghp_good,ghp_ä", None, None, None),
    ],
)
def test_find_tokens(tmp_path, monkeypatch, token, tokens, gh, expected):
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable, value in (("GITHUB_TOKEN", token), ("GITHUB_TOKENS", tokens)):
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value)
    if gh is not None:
        script = tmp_path / "gh"
        script.write_text(f'#!/bin/sh\ntest "$*" = "auth token" || exit 9\n{gh}\n')
        script.chmod(0o755)
    if expected is not None:
        assert list(find_tokens()) == expected
        return
    with pytest.raises(StudyError, match="GITHUB_TOKEN") as raised:
        find_tokens()
    assert "ghp_" not in str(raised.value)
