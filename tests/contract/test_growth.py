"""Nothing grows without a bound that is written down: every table and every folder is in the list, and the list is the page."""

import re
from pathlib import Path

from starlette.applications import Starlette

from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.runtime.retention import FOLDERS, bounds, table
from coreplex.runtime.tables import metadata
from tests.factories.dataset import Person

ROOT = Path(__file__).resolve().parents[2]
SETTING = re.compile(r"`([A-Z_]{4,})`")


def test_every_table_has_a_bound() -> None:
    assert set(bounds()) == set(metadata.tables), "say as `__bound__` of the table what bounds it"


def test_every_bound_is_a_rule_or_a_setting_or_follows_another() -> None:
    for name, bound in bounds().items():
        assert bound.rules or SETTING.search(bound.words) or re.search(r"\bGoe?s? with", bound.words), name
        named = set(SETTING.findall(bound.words))
        assert {rule.after.upper() for rule in bound.rules if isinstance(rule.after, str)} <= named, name
    words = " ".join([*(bound.words for bound in bounds().values()), *FOLDERS.values()])
    unknown = {name for name in SETTING.findall(words) if name.lower() not in Settings.model_fields} - {"DATA_DIR"}
    assert not unknown


def test_every_rule_ends_by_its_setting(settings: Settings) -> None:
    for bound in bounds().values():
        for rule in bound.rules:
            if isinstance(rule.after, str):
                later = settings.model_copy(update={rule.after: getattr(settings, rule.after) + 5})
                usual, longer = rule.horizon(settings), rule.horizon(later)
                assert usual is not None
                assert longer is not None
                assert longer < usual


def test_the_page_says_what_is_done() -> None:
    assert table() in (ROOT / "docs" / "growth.md").read_text(), "run scripts/readme"


async def test_every_folder_has_a_bound(lab: tuple[Starlette, Person], ada: Person) -> None:
    await ada.dataset()
    services: Services = lab[0].state.services
    made = {path.name for path in services.settings.data_dir.iterdir() if path.is_dir()}
    assert {"staging", "storage", "uploads"} <= made <= set(FOLDERS)
