"""What runs in the background is one interface: a fragment on it reads the same of an experiment and of a job."""

from graphql import GraphQLObjectType

from schema.execution import core_schema
from tests.factories.asking import Asker

FIELDS = "id status progress message error { message } createdAt startedAt finishedAt"
BOTH = f"""query($experiment: ID!, $job: ID!) {{
  experiment(id: $experiment) {{ ...work }} job(id: $job) {{ ... on BackgroundWork {{ {FIELDS} }} }}
  jobs {{ nodes {{ ...work __typename }} }} }}
fragment work on BackgroundWork {{ {FIELDS} }}"""
PLAIN = BOTH.partition("fragment")[0].replace("...work", FIELDS).replace(f"... on BackgroundWork {{ {FIELDS} }}", FIELDS)


async def test_a_fragment_on_it_reads_what_the_types_have(asker: Asker) -> None:
    ids = {"experiment": asker.world.ids["waiting_experiment"], "job": asker.world.ids["job"]}
    assert "BackgroundWork" not in PLAIN
    found = await asker.data(BOTH, **ids)
    assert found == await asker.data(PLAIN, **ids)
    assert found["jobs"]["nodes"][0]["__typename"] == "Job"
    assert (found["experiment"]["status"], found["job"]["progress"]) == ("QUEUED", 0.0)


def test_whatever_has_its_fields_says_so_and_is_compiled_all_the_same() -> None:
    kinds = [kind for kind in core_schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
    alike = {kind.name for kind in kinds if {"progress", "startedAt", "finishedAt"} <= set(kind.fields)}
    assert (
        alike
        == {kind.name for kind in kinds if "BackgroundWork" in {one.name for one in kind.interfaces}}
        == {"Job", "Experiment", "PredictionBatch", "Replay", "MetricChange"}
    )
    assert not [kind.name for kind in kinds if kind.is_type_of is not None], "the compiler leaves such types to graphql-core"
