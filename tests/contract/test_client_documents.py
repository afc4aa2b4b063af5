"""What the programs of `tests/clients` ask is in the contract: seen here without Node."""

import re

import pytest
from graphql import parse, specified_rules, validate
from graphql.validation import KnownDirectivesRule, NoUnusedVariablesRule

from schema.execution import core_schema
from tests.stack import ROOT

PROGRAMS = ROOT / "tests" / "clients" / "programs"
RELAY = {KnownDirectivesRule, NoUnusedVariablesRule}
"""What relay-compiler takes out before a document is sent."""


def documents(name: str) -> str:
    text = (PROGRAMS / name).read_text()
    return "\n".join(re.findall(r"graphql`(.*?)`", text, re.S)) if name.endswith(".js") else text


@pytest.mark.parametrize("name", ["journey.graphql", "Relay.js"])
def test_the_documents_of_the_journeys(name: str) -> None:
    asked = parse(documents(name))
    rules = [rule for rule in specified_rules if rule not in RELAY]
    assert [error.message for error in validate(core_schema, asked, rules)] == []
