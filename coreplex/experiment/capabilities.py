"""What a caller's plan allows, and which engines will run for what was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coreplex.engines.automl.options import engine_registry
from coreplex.errors.tree import Forbidden, Invalid, Message
from coreplex.experiment.table import ExecutionMode
from coreplex.platform.permissions import Plan

DEFAULT_ENGINE = engine_registry.DEFAULT


@dataclass(frozen=True)
class Quota:
    """Limits of a plan. None: no limit of its own."""

    choose_engine: bool
    parallel: bool
    max_models: int
    max_runtime_secs: int


QUOTAS: Mapping[Plan, Quota] = {
    Plan.free: Quota(choose_engine=False, parallel=False, max_models=20, max_runtime_secs=3600),
    Plan.pro: Quota(choose_engine=True, parallel=False, max_models=100, max_runtime_secs=4 * 3600),
    Plan.team: Quota(choose_engine=True, parallel=False, max_models=200, max_runtime_secs=8 * 3600),
    Plan.enterprise: Quota(choose_engine=True, parallel=True, max_models=1000, max_runtime_secs=7 * 86_400),
}


@dataclass(frozen=True)
class Capabilities:
    """What the caller may ask of an experiment."""

    plan: Plan
    allowed_engines: Sequence[str]
    execution_modes: Sequence[ExecutionMode]
    default_engine: str
    max_models: int
    max_runtime_secs: int
    gpu_available: bool
    algorithms: Sequence[str]


@dataclass
class Choice:
    """The engines that will run, as (asked for, runs), and what the caller should know about it."""

    runs: list[tuple[str, str]]
    warnings: list[Message] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The engines that run."""
        return [actual for _, actual in self.runs]


def capabilities(plan: Plan) -> Capabilities:
    quota = QUOTAS[plan]
    installed = engine_registry.installed()
    return Capabilities(
        plan=plan,
        allowed_engines=installed if quota.choose_engine else [DEFAULT_ENGINE],
        execution_modes=list(ExecutionMode) if quota.parallel else [ExecutionMode.single],
        default_engine=DEFAULT_ENGINE,
        max_models=quota.max_models,
        max_runtime_secs=quota.max_runtime_secs,
        gpu_available=False,
        algorithms=list(engine_registry.ENGINES[DEFAULT_ENGINE].algos),
    )


def choose(plan: Plan, mode: ExecutionMode, engine: str | None, engines: Sequence[str] | None, *, fallback: bool) -> Choice:
    """The engines of an experiment. Raises Invalid for unknown ones, Forbidden for what the plan lacks.

    An engine that is known but not installed becomes the native one when `fallback` is on, with a warning (contract B.5).
    """
    quota = QUOTAS[plan]
    if mode is ExecutionMode.parallel and not quota.parallel:
        raise Forbidden(
            Message(
                "plan_without_parallel",
                "The plan '{plan}' runs one engine at a time; parallel mode needs the plan 'enterprise'.",
                plan=plan,
            )
        )
    asked = _asked(mode, engine, engines)
    if not quota.choose_engine and set(asked) != {DEFAULT_ENGINE}:
        raise Forbidden(
            Message(
                "plan_with_one_engine", "The plan '{plan}' runs the engine '{engine}' only.", plan=plan, engine=DEFAULT_ENGINE
            )
        )
    choice = Choice([])
    for name in asked:
        actual = _actual(name, choice, fallback=fallback)
        if actual in {run for _, run in choice.runs}:
            choice.warnings.append(
                Message(
                    "engine_not_run_twice",
                    "Engine '{engine}' was asked for, but '{actual}' runs already; it is not run twice.",
                    engine=name,
                    actual=actual,
                )
            )
        else:
            choice.runs.append((name, actual))
    return choice


def _asked(mode: ExecutionMode, engine: str | None, engines: Sequence[str] | None) -> list[str]:
    named = [name.strip().lower() for name in ([engine] if engine else []) + list(engines or [])]
    named = list(dict.fromkeys(name for name in named if name))
    if mode is ExecutionMode.single:
        return named[:1] or [DEFAULT_ENGINE]
    return named or engine_registry.installed()


def _actual(name: str, choice: Choice, *, fallback: bool) -> str:
    installed = engine_registry.installed()
    if name in installed:
        return name
    if name not in engine_registry.ENGINES:
        raise Invalid.field(
            Message(
                "unknown_engine",
                "'{name}' is not an engine; choose one of {choices}",
                name=name,
                choices=list(engine_registry.ENGINES),
            ),
            "engine",
        )
    if not fallback:
        raise Invalid.field(
            Message(
                "engine_not_installed",
                "the engine '{name}' is not installed on this server; choose one of {choices}",
                name=name,
                choices=installed,
            ),
            "engine",
        )
    choice.warnings.append(
        Message(
            "engine_replaced",
            "The engine '{engine}' is not installed on this server; the engine '{actual}' runs instead.",
            engine=name,
            actual=DEFAULT_ENGINE,
        )
    )
    return DEFAULT_ENGINE
