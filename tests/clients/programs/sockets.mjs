// graphql-ws: a query, a mutation, one socket too many, and a subscription that outlives a server.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { CREATE, ask, follow, lines, say, told } from './followed.mjs';

const [url, key, job, most] = process.argv.slice(2);
const made = (more = {}) =>
  createClient({
    url,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${key}` },
    shouldRetry: () => true,
    retryAttempts: 50,
    retryWait: () => new Promise((go) => setTimeout(go, 200)),
    ...more,
  });

const client = made();
say({ query: await ask(client, { query: '{ projects(first: 1) { totalCount } }' }) });
say({ mutation: await ask(client, { query: CREATE, variables: { name: 'By graphql-ws' } }) });
const failed = await ask(client, { query: '{ nothing }' }).catch(told);
say({ failed });

const others = Array.from({ length: Number(most) }, () => made({ lazy: false, retryAttempts: 0, onNonLazyError: () => {} }));
await Promise.all(others.map((one) => new Promise((go) => one.on('connected', go))));
const further = made({ retryAttempts: 0 });
say({ refused: await ask(further, { query: '{ __typename }' }).catch(told) });
await Promise.all(others.map((one) => one.dispose()));

follow(client, job);
await lines.next();
await client.dispose();
process.exit(0);
