import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's own settings, which no test shares with the machine."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder
