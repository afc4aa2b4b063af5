// How a program comes to the server: signing in, a key, a file, and a socket whose subscriptions outlive a restart.
import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const base = process.env.BASE_URL;
export const url = `${base}/graphql`;

const post = async (path, body, headers) => {
  const answer = await fetch(base + path, { method: 'POST', body, headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
};

/** Signs in with e-mail and password, and makes a key: `Authorization: Bearer <key>`. */
export async function signIn(email, password) {
  const ask = (query, input, headers) =>
    post('/graphql', JSON.stringify({ query, variables: { input } }), { 'content-type': 'application/json', ...headers });
  const login = 'mutation ($input: LoginInput!) { login(input: $input) { csrfToken } }';
  const entered = await ask(login, { email, password });
  const cookie = entered.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');
  const { csrfToken } = (await entered.json()).data.login;
  const make = 'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key } }';
  const made = await ask(make, { name: 'journey', scopes: ['READ', 'WRITE', 'PREDICT'] }, { cookie, 'x-csrf-token': csrfToken });
  return (await made.json()).data.createApiKey.key;
}

/** Files do not go through GraphQL: sends one and gives the id that `uploadDataset` takes. */
export async function upload(path, key) {
  const form = new FormData();
  form.append('file', await openAsBlob(path), basename(path));
  return (await (await post('/api/uploads', form, { authorization: `Bearer ${key}` })).json()).id;
}

/** A socket for subscriptions, which comes back by itself and goes on behind the last event: `after` follows `seq`. */
export function socket(key) {
  const client = createClient({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${key}` },
    shouldRetry: () => true,
    retryAttempts: Infinity,
    retryWait: () => new Promise((go) => setTimeout(go, 200)),
  });
  const subscribe = (payload, sink) => {
    const variables = { ...payload.variables };
    const seen = new Set(); // who comes back to a project's events may get those of the last seconds again
    const next = (result) => {
      const { seq } = Object.values(result.data ?? {})[0] ?? {};
      if (seen.has(seq)) return;
      if (seq) seen.add((variables.after = seq));
      sink.next(result);
    };
    return client.subscribe({ ...payload, variables }, { ...sink, next, error: sink.error, complete: sink.complete });
  };
  return { ...client, subscribe };
}
