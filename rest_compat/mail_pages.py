"""The pages the links in our mails lead to, until there is a dashboard: choose a new password, confirm an e-mail.

They are public and the same for everybody: the token stays in the address, and the page's script sends it to the documented
endpoint when the person says so. A program that opens links in mails to look at them uses up nothing.
"""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from edge.page import policy_of
from edge.routing import Answer
from rest_compat import invitation_page
from rest_compat.mail_style import STYLE

SCRIPT = """
"use strict";
const form = document.querySelector("form"), button = form.querySelector("button"), said = document.querySelector("output");
const token = new URLSearchParams(location.search).get("token") || "";
const ask = {
  "reset-password": () => fetch("../api/auth/reset-password", {
    method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify({token, password: form.password.value, revoke_api_keys: form.keys.checked}),
  }),
  "verify-email": () => fetch("../api/auth/verify-email?" + new URLSearchParams({token})),
}[form.id];
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!token) { said.textContent = "This address is not whole: open the link exactly as it stands in the mail."; return; }
  button.disabled = true;
  said.textContent = "One moment …";
  try {
    const answer = await ask(), body = await answer.json();
    said.textContent = answer.ok ? [form.dataset.done, ...body.warnings || []].join(" ") : body.message || body.detail;
    form.hidden = answer.ok;
  } catch {
    said.textContent = "The server does not answer at the moment; try again shortly.";
  }
  button.disabled = false;
});
"""
FORMS = {
    "reset-password": (
        "Choose a new password",
        "Done. Sign in with the new password; every other session has ended.",
        '<label for="password">New password, 8 characters or more</label>'
        '<input id="password" name="password" type="password" autocomplete="new-password" required minlength="8" autofocus>'
        '<label><input id="keys" name="keys" type="checkbox"> Also revoke all my API keys, if somebody may know them: '
        "programs that use them stop working</label>"
        "<button>Set the password</button>",
    ),
    "verify-email": (
        "Confirm your e-mail",
        "Done. Your e-mail is confirmed, you can sign in.",
        "<button>Confirm my e-mail</button>",
    ),
}
"""Name of the endpoint: title, what is said when it was done, and the form's fields."""


def mail_page_routes() -> list[Route]:
    """One page per link that a mail of `coreplex.account.mail` holds."""
    pages = {name: _page(name, *said) for name, said in FORMS.items()} | {"accept-invitation": invitation_page.PAGE}
    return [Route(f"/auth/{name}", _answering(page)) for name, page in pages.items()]


def _answering(page: str) -> Answer:
    headers = {"Content-Security-Policy": policy_of(page)}

    async def answer(_request: Request) -> Response:
        return HTMLResponse(page, headers=headers)

    return answer


def _page(name: str, title: str, done: str, fields: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f'<form id="{name}" data-done="{done}">{fields}</form><output role="status"></output>'
        f"<noscript>This page needs JavaScript; without it, send the token to the endpoint named in the mail.</noscript>"
        f"<script>{SCRIPT}</script></html>"
    )
