"""Which commit a model is said to come from."""

import re
import subprocess

import pytest

from portfolio_shared.tracking.git import current_commit


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a repository with one commit, and work in it."""
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file.txt").write_text("one\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--no-verify", "-m", "one")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout):
    assert current_commit() == git(checkout, "rev-parse", "HEAD")
    assert re.fullmatch(r"[0-9a-f]{40}", current_commit())


def test_a_tag_does_not_replace_the_commit(checkout):
    git(checkout, "tag", "-a", "v1", "-m", "v1")

    assert current_commit() == git(checkout, "rev-parse", "HEAD")


def test_changed_files_are_admitted(checkout):
    (checkout / "file.txt").write_text("two\n", encoding="utf-8")

    assert current_commit() == git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_a_folder_inside_of_the_checkout_belongs_to_it(checkout, monkeypatch):
    (checkout / "deeper").mkdir()
    monkeypatch.chdir(checkout / "deeper")

    assert current_commit() == git(checkout, "rev-parse", "HEAD")


def test_the_variable_of_an_image_wins(checkout, monkeypatch):
    monkeypatch.setenv("GIT_COMMIT", "0123456789abcdef")

    assert current_commit() == "0123456789abcdef"


def test_outside_of_a_repository_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)

    assert current_commit() == "unknown"


def test_without_git_it_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))

    assert current_commit() == "unknown"


def test_before_the_first_commit_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")

    assert current_commit() == "unknown"
