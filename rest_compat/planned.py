"""What the published client can ask and this server cannot answer yet: said in the README and at `/docs`, held up by a test."""

PLANNED = {
    "privacy": (
        "list_policies",
        "create_policy",
        "get_policy",
        "delete_policy",
        "create_session",
        "detect",
        "transform",
        "anonymize",
        "results",
    ),
    "reports": ("list", "create", "get", "wait", "download"),
    "studio": ("create_session", "get_session", "schema", "create_scenario", "run_scenario", "compare"),
    "synthgen": ("list_models", "create_model", "get_model", "generate", "delete_model", "list_jobs", "get_job"),
}
"""Resource of the client → its methods that find no endpoint here."""


def sentence() -> str:
    """The list in words, with each name as code."""
    names = [f"`{resource}.{method}`" for resource, methods in PLANNED.items() for method in methods]
    return "Not there yet, and answered with 404, are these methods of the published client: " + ", ".join(names) + "."
