"""The page an invitation's mail leads to, until there is a dashboard: register with the token, or sign in and accept.

As the other pages of mails it is the same for everybody, and looking at it uses nothing up. It speaks GraphQL, for accepting an
invitation has no endpoint in REST.
"""

import json

from rest_compat.mail_style import STYLE
from schema.door.own_documents import ACCEPT, LOGIN, OFFER, REGISTER

SCRIPT = f"""
"use strict";
const OFFER = {json.dumps(OFFER)}, REGISTER = {json.dumps(REGISTER)}, LOGIN = {json.dumps(LOGIN)}, ACCEPT = {json.dumps(ACCEPT)};
const at = (name) => document.querySelector(name);
const form = at("form"), button = at("button"), said = at("output"), offer = at("#offer");
const token = new URLSearchParams(location.search).get("token") || "";
let invitation = null;
const ask = async (query, variables, headers = {{}}) => {{
  const answer = await fetch("../graphql", {{
    method: "POST", headers: {{"Content-Type": "application/json", "Accept": "application/json", ...headers}},
    body: JSON.stringify({{query, variables}}),
  }});
  const body = await answer.json();
  if (body.errors) throw new Error(body.errors[0].message);
  return body.data;
}};
const said_of = (error) => error instanceof TypeError || error instanceof SyntaxError
  ? "The server does not answer at the moment; try again shortly." : error.message;
const accept = async () => {{
  const password = form.password.value, email = invitation.email;
  if (!invitation.isRegistered) {{
    await ask(REGISTER, {{input: {{email, name: form.person.value, password, invitationToken: token}}}});
    return;
  }}
  const {{login}} = await ask(LOGIN, {{input: {{email, password}}}});
  await ask(ACCEPT, {{token}}, {{"X-CSRF-Token": login.csrfToken}});
}};
form.addEventListener("submit", async (event) => {{
  event.preventDefault();
  button.disabled = true;
  said.textContent = "One moment …";
  try {{
    await accept();
    form.hidden = true;
    said.textContent = "Done. You are a member of the project; sign in to work in it.";
  }} catch (error) {{
    said.textContent = said_of(error);
  }}
  button.disabled = false;
}});
(async () => {{
  try {{
    invitation = (await ask(OFFER, {{token}})).invitation;
    const by = invitation.invitedBy ? invitation.invitedBy.name : "Somebody";
    offer.textContent = `${{by}} invites ${{invitation.email}} to the project “${{invitation.projectName}}”.`;
    at("#new").hidden = form.person.disabled = invitation.isRegistered;
    at("label[for=password]").textContent = invitation.isRegistered ? "Your password here" : "A password, 8 characters or more";
    form.password.autocomplete = invitation.isRegistered ? "current-password" : "new-password";
    button.textContent = invitation.isRegistered ? "Sign in and join" : "Register and join";
    form.hidden = false;
  }} catch (error) {{
    said.textContent = token ? said_of(error) : "This address is not whole: open the link exactly as it stands in the mail.";
  }}
}})();
"""
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f'<title>An invitation</title><style>{STYLE}</style><h1>An invitation</h1><p id="offer"></p>'
    '<form id="accept-invitation" hidden><div id="new"><label for="person">Your name</label>'
    '<input id="person" name="person" autocomplete="name" required maxlength="200"></div>'
    '<label for="password">Password</label><input id="password" name="password" type="password" required>'
    '<button>Join</button></form><output role="status"></output>'
    "<noscript>This page needs JavaScript; without it, send the token as the mail says.</noscript>"
    f"<script>{SCRIPT}</script></html>"
)
