"""Messages in any language: each has a machine word of its own, parameters, and a place in the committed catalogue."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from string import Formatter
from typing import Any

import orjson
import pytest

from coreplex.errors.tree import DomainError, FieldError, Message, WrongValue
from schema.export import MESSAGES, messages
from schema.messages import catalogue, modules, sayings
from tests.factories.asking import Asker

WORDED = {"coreplex/errors/tree.py", "coreplex/errors/rules.py", "coreplex/platform/isolation.py"}
"""Where a sentence is taken over as it was worded: by us a moment ago, by Pydantic, by a child process."""


def _names(kind: type[DomainError]) -> set[str]:
    return {kind.__name__}.union(*map(_names, kind.__subclasses__()))


ERRORS = _names(DomainError) | {FieldError.__name__, WrongValue.__name__, "field"}
CHECKED = re.compile(r"/inputs\.py$|^coreplex/platform/(document|filtering|inputs|not_yet)\.py$|/options/config\.py$")
"""Where rules of inputs stand, whose complaints Pydantic hands on."""


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call by name: its file, the name, and the call."""
    for file, module in modules().items():
        for call in ast.walk(module):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute):
                yield file, call.func.id if isinstance(call.func, ast.Name) else call.func.attr, call


def test_the_committed_catalogue_is_that_of_the_code() -> None:
    assert MESSAGES.read_text(encoding="utf-8") == messages(), (
        "messages changed: run `python -m schema.export` and commit the file"
    )


def test_words_and_templates_are_literals() -> None:
    """What a caller sent is a parameter: in a template its braces would be read, and no front-end would know the sentence."""
    built = [one.place for one in sayings() if not all(isinstance(part, ast.Constant) for part in (one.reason, one.template))]
    assert built == []


def test_a_word_is_given_in_one_place() -> None:
    given = Counter(ast.literal_eval(one.reason) for one in sayings())
    assert [word for word, times in given.items() if times > 1 or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", word)] == []
    rules = {one["type"] for one in _rules()} & set(given)
    assert rules == {"missing"}, "the word of one of Pydantic's rules means that rule"


def _rules() -> list[Any]:
    from pydantic_core._pydantic_core import list_all_errors

    return list(list_all_errors())


def test_a_template_mentions_its_parameters_and_nothing_else() -> None:
    odd = [one.place for one in sayings() if _mentioned(ast.literal_eval(one.template)) != set(one.parameters)]
    assert odd == []


def _mentioned(template: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_no_error_is_made_of_a_plain_text() -> None:
    """mypy asks for a Message; this looks also where it does not, and at rules of inputs."""
    plain = [f"{file}:{call.lineno}" for file, name, call in calls() if name in ERRORS and any(map(_is_text, _said(name, call)))]
    plain += [f"{file}:{call.lineno}" for file, name, call in calls() if name == "ValueError" and CHECKED.search(file)]
    assert plain == []


def _said(name: str, call: ast.Call) -> list[ast.expr]:
    """The argument that is the message."""
    place = 1 if name == FieldError.__name__ else 0
    return call.args[place : place + 1]


def _is_text(said: ast.expr) -> bool:
    return isinstance(said, ast.JoinedStr) or (isinstance(said, ast.Constant) and isinstance(said.value, str))


def test_sentences_are_taken_over_in_few_places() -> None:
    assert {file for file, name, _ in calls() if name == "worded"} == WORDED


def test_parameters_are_data_and_several_are_listed() -> None:
    said = Message(
        "odd", "{name!r} is none of {known!r}: {count:,} of {most}", name="{x}", known=["a", "b"], count=1200, most=[1, 2]
    )
    assert said == "'{x}' is none of 'a', 'b': 1,200 of 1, 2"
    assert said.as_dict() == {"reason": "odd", "parameters": {"name": "{x}", "known": ["a", "b"], "count": 1200, "most": [1, 2]}}
    more = said.then(Message("more", "So it is {what}.", what="odd"))
    assert (str(more), more.reason, more.parameters["what"]) == (f"{said}. So it is odd.", "odd", "odd")


def test_a_message_is_the_same_after_a_copy_and_after_a_journey_as_json() -> None:
    said = Message("odd", "{name} is none of {known}", name="x", known=("a", "b"))
    for one in (deepcopy(said), Message.from_json(orjson.loads(orjson.dumps(said.to_json())))):
        assert (one, one.as_dict()) == ("x is none of a, b", said.as_dict())
        assert one.same(said)
    assert not said.same(Message.worded("odd", str(said), {**said.parameters, "name": "y"}))
    assert not said.same(Message.worded("even", str(said), said.parameters))


REFUSED = (
    ('createProject(input: {name: "' + "x" * 201 + '"})', "string_too_long"),
    ('createApiKey(input: {name: "a", scopes: [READ], expiresAt: "2001-01-01T00:00:00Z"})', "key_ends_too_late"),
    (
        'createExperiment(input: {name: "a", projectId: "<project>", datasetVersionId: "<version>", '
        'problemType: REGRESSION, targetColumn: "{x}"})',
        "no_target_column",
    ),
    ('addMember(input: {projectId: "<project>", email: "<viewer>", role: EDITOR})', "member_already"),
    ('unarchiveProject(input: {projectId: "<project>"})', "not_archived"),
)


@pytest.mark.parametrize(("field", "reason"), REFUSED)
async def test_a_front_end_can_say_it_itself(asker: Asker, field: str, reason: str) -> None:
    """Of the payload's word and parameters and the catalogue: the same sentence, or its beginning."""
    ids = {**asker.world.ids, "viewer": asker.world.people["viewer"].email}
    asked = re.sub("<(\\w+)>", lambda found: str(ids[found[1]]), field)
    found = (await asker.data("mutation { it: " + asked + " { userErrors { message reason parameters } } }", "session"))["it"]
    (told,) = found["userErrors"]
    assert told["reason"] == reason
    assert told["message"].startswith(re.sub(r"\{(\w+)\}", lambda name: str(told["parameters"][name[1]]), catalogue()[reason]))


@pytest.mark.parametrize(
    ("actor", "query", "reason", "parameters"),
    [
        ("owner", '{ project(id: "q") { id } }', "not_found", {"noun": "Project"}),
        ("stranger", '{ project(id: "<project>") { id } }', "not_found", {"noun": "Project"}),
        ("anonymous", "{ projects { totalCount } }", "sign_in_needed", {}),
        (
            "owner",
            "{ projects { nodes { nothing } } }",
            "document_not_valid",
            {"told": "Cannot query field 'nothing' on type 'Project'."},
        ),
    ],
)
async def test_errors_of_fields_have_words_too(
    asker: Asker, actor: str, query: str, reason: str, parameters: dict[str, Any]
) -> None:
    told = await asker.refused(query.replace("<project>", asker.world.ids["project"]), actor)
    assert (told["reason"], told["parameters"]) == (reason, parameters)
    assert reason in catalogue()
