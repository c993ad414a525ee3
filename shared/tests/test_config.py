import json

import pytest

from portfolio_shared.config import Frozen, stored_settings


class Settings(Frozen):
    penalty: float = 1.0


@pytest.mark.parametrize(("parts", "stored"), [([], {}), (["time"], {"random": {"settings": {"penalty": 3.0}}})])
def test_settings_are_read_from_what_a_search_wrote(tmp_path, parts, stored):
    found = {"settings": {"penalty": 2.0}}
    path = tmp_path / "tuned.json"
    path.write_text(json.dumps({**stored, **(dict.fromkeys(parts, found) or found)}), encoding="utf-8")
    assert stored_settings(Settings, path, *parts) == Settings(penalty=2.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {"penlaty": 1}}', '{"settings": 1}'])
def test_another_file_is_named(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json: expected a file that `tune` wrote, found"):
        stored_settings(Settings, path)
