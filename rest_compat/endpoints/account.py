"""`/api/auth` (contract B.1)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

AUTH = "/api/auth"
KEYS = f"{AUTH}/api-keys"
KEY = f"{KEYS}/{{key_id}}"
REVOKED = {"key_id": "input.apiKeyId"}


def _me(result: Any, _: Mapping[str, Any]) -> Any:
    """The user with the scopes of the credential, and the session's token (empty for an API key)."""
    asking = result["session"]
    return {"csrf_token": asking["csrf_token"], "user": {**result["result"], "scopes": asking["scopes"]}}


def _reset(result: Any, _: Mapping[str, Any]) -> Any:
    """Done, and what became of the API keys; that some still work is a warning."""
    warnings = documents.sentences(result.pop("warnings"))
    return {**result, "warnings": documents.optional(warnings, warnings)} if warnings else result


def _new_key(result: Any, _: Mapping[str, Any]) -> Any:
    """The key at top level and again under `api_key` (contract B.1)."""
    body = {**result["api_key"], "key": result["key"]}
    return {**body, "api_key": body}


ROWS = (
    Endpoint("POST", f"{AUTH}/register", "Register", shapes.plain, 201, body=("email", "name", "password")),
    Endpoint("GET", f"{AUTH}/verify-email", "VerifyEmail", shapes.ok, params=("token",)),
    Endpoint("POST", f"{AUTH}/resend-verification", "ResendVerification", shapes.ok, body=("email",)),
    Endpoint("POST", f"{AUTH}/login", "Login", shapes.plain, body=("email", "password", "remember"), certain=("user.role",)),
    Endpoint("POST", f"{AUTH}/logout", "Logout", shapes.ok),
    Endpoint("GET", f"{AUTH}/me", "Me", _me, certain=("user.role", "user.plan")),
    Endpoint("POST", f"{AUTH}/forgot-password", "ForgotPassword", shapes.ok, body=("email",)),
    Endpoint("POST", f"{AUTH}/reset-password", "ResetPassword", _reset, body=("token", "password", "revoke_api_keys")),
    Endpoint("GET", KEYS, "ListApiKeys", shapes.page, paged=True),
    Endpoint(
        "POST",
        KEYS,
        "CreateApiKey",
        _new_key,
        201,
        body=("name", "scopes", "project_id", "expires_at", "expires_in_days"),
    ),
    Endpoint("DELETE", KEY, "RevokeApiKey", shapes.ok, into=REVOKED),
    Endpoint("POST", f"{KEY}/revoke", "RevokeApiKey", shapes.ok, into=REVOKED, name="RevokeApiKeyByPost"),
)
