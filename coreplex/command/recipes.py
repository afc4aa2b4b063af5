"""How to ask for the same prediction again: with the Python client, with curl, and with GraphQL. All three can be pasted."""

import json
import shlex
from collections.abc import Mapping

MUTATION = (
    "mutation($input: PredictModelInput!) { predictModel(input: $input) { predictions { prediction probability } "
    "warnings { column message } } }"
)


def three_ways(url: str, key: str, model_id: str, row: Mapping[str, str]) -> str:
    """The same request three times, each as text for a terminal."""
    rest = json.dumps({"inputs": row}, ensure_ascii=False)
    graphql = json.dumps({"query": MUTATION, "variables": {"input": {"modelId": model_id, "inputs": row}}}, ensure_ascii=False)
    return f"""The same again

1. Python client (pip install coreplexml)

from coreplexml import CorePlexMLClient
client = CorePlexMLClient({url!r}, api_key={key!r})
print(client.models.predict({model_id!r}, {dict(row)!r}))

2. curl

{_curl(f"{url}/api/models/{model_id}/predict", key, rest)}

3. GraphQL

{_curl(f"{url}/graphql", key, graphql)}
"""


def _curl(address: str, key: str, body: str) -> str:
    bearer = shlex.quote(f"Authorization: Bearer {key}")
    return f"curl {address} -H {bearer} -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"
