"""A learner family is a module and a line: everything else follows from what it declares."""

from importlib import import_module
from pathlib import Path

import pytest

from coreplex.engines import learner_families
from coreplex.engines.automl import train
from coreplex.engines.automl.data import feasibility
from coreplex.engines.automl.families.family import KINDS, Family, algorithms, aliases, families
from coreplex.engines.automl.options.config import parse_config
from coreplex.engines.automl.options.engine_registry import ENGINES
from coreplex.engines.learner_families import LINES, Line
from coreplex.engines.scoring.contributions import contributions
from coreplex.engines.scoring.predictor import Scoring
from coreplex.engines.scoring.scorer import Scorer
from coreplex.errors.tree import BadInput, Invalid
from tests.engines import nearest_centroid
from tests.engines.runs import Report, request, table

TOY = Line("nearest_centroid", f"{nearest_centroid.__name__}:FAMILY", f"{nearest_centroid.__name__}:Centroids")


@pytest.fixture
def one_more_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_families, "LINES", (*LINES, TOY))


@pytest.mark.usefixtures("one_more_line")
def test_a_family_of_one_module_and_one_line_trains_is_stored_served_and_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, report = table(), Report()
    train.run(request(frame, "kind", "classification", tmp_path, include_algos=["Rocchio"], max_models=3), report)
    assert [model["algo"] for model in report.models] == ["NearestCentroid"] * 3, "one of the portfolio, two of the search"
    assert len({model["parameters"]["sharpness"] for model in report.models}) == 3
    assert report.models[0]["metrics"]["accuracy"] > report.baselines[0]["metrics"]["accuracy"] + 0.2
    stored = report.models[0]["bundle"]
    scorer = Scorer.load(stored["path"], stored["sha256"])
    row = frame.sort("x0").row(-1, named=True)
    assert scorer.predict_row(row)[0]["prediction"] == row["kind"] == "high"
    explained = contributions(scorer, [row])[0]["contributions"]
    assert {item["feature"] for item in explained} == {"x0", "x1", "group"}, "of any predictor, by sampling"
    monkeypatch.setattr(learner_families, "LINES", LINES)
    with pytest.raises(BadInput, match="'nearest_centroid'"):
        Scorer.load(stored["path"], stored["sha256"])
    with pytest.raises(Invalid, match="Rocchio"):
        parse_config({"include_algos": ["Rocchio"]})


@pytest.mark.usefixtures("one_more_line")
def test_what_a_family_can_do_decides_where_it_is_offered() -> None:
    config = parse_config({"include_algos": ["NearestCentroid"]})
    assert "NearestCentroid" in ENGINES["native"].algos
    assert [kind for kind in KINDS if not feasibility.idle(["native"], kind, config)] == ["multiclass"]
    assert feasibility.idle(["flaml"], "multiclass", config) == ["flaml"]


def test_what_the_lines_name_is_there() -> None:
    for line in LINES:
        assert line.declared or line.predictor, line
        if line.declared:
            module, _, name = line.declared.partition(":")
            declared = getattr(import_module(module), name)
            assert isinstance(declared, Family)
            assert declared.key == line.key
        if line.predictor:
            module, _, name = line.predictor.partition(":")
            scores = getattr(import_module(module), name)
            assert issubclass(scores, Scoring)
            assert scores.kind == line.key
    assert len({line.key for line in LINES}) == len(LINES)
    for engine in ENGINES.values():
        if engine.search is not None and engine.installed():
            assert callable(import_module(engine.search).search)


def test_names_of_algorithms_are_told_apart() -> None:
    names = [algorithm.name for algorithm in algorithms()]
    assert len(set(names)) == len(names)
    assert set(aliases().values()) <= set(names)
    assert len({name.casefold() for name in (*names, *aliases())}) == len(names) + len(aliases())
    for family in families():
        assert family.measured_as in ("", *(one.key for one in families()))
