// graphql-sse, each operation on a connection of its own or all on one: a query, a mutation, and a subscription that outlives a server.
import { createClient } from 'graphql-sse';
import { CREATE, ask, follow, lines, say, told } from './followed.mjs';

const [url, key, job, mode] = process.argv.slice(2);
const made = (retryAttempts) =>
  createClient({
    url,
    singleConnection: mode === 'single',
    headers: { authorization: `Bearer ${key}` },
    retryAttempts,
    retry: () => new Promise((go) => setTimeout(go, 200)),
  });
const client = made(50);

say({ query: await ask(client, { query: '{ projects(first: 1) { totalCount } }' }) });
say({ mutation: await ask(client, { query: CREATE, variables: { name: 'By graphql-sse' } }) });
const hasty = made(0); // a refusal is an answer, and no reason to ask again
say({ failed: await ask(hasty, { query: '{ nothing }' }).catch(told) });
hasty.dispose();
const dispose = follow(client, job);
await lines.next();
dispose();
say({ disposed: true });
await lines.next();
client.dispose();
process.exit(0);
