"""Writes the public contract, schema/schema.graphql and schema/messages.json: `python -m schema.export`.

Tests compare the committed files with it.
"""

import json
from pathlib import Path

from schema.messages import catalogue
from schema.root import graphql_schema

SDL = Path(__file__).with_name("schema.graphql")
MESSAGES = Path(__file__).with_name("messages.json")


def sdl() -> str:
    return graphql_schema.as_str() + "\n"


def messages() -> str:
    return json.dumps(catalogue(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    SDL.write_text(sdl(), encoding="utf-8")
    MESSAGES.write_text(messages(), encoding="utf-8")
