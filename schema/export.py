"""Writes the public contract to schema/schema.graphql: `python -m schema.export`. Tests compare the committed file with it."""

from pathlib import Path

from schema.root import graphql_schema

SDL = Path(__file__).with_name("schema.graphql")


def sdl() -> str:
    return graphql_schema.as_str() + "\n"


if __name__ == "__main__":
    SDL.write_text(sdl(), encoding="utf-8")
