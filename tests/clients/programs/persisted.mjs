// Apollo Client and urql with persisted queries, by POST and by GET. Prints what was sent and what came.
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';

const [url, key] = process.argv.slice(2);
const headers = { authorization: `Bearer ${key}` };
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const sent = [];
// urql ends each of its fetches when it has what it wants, also those that are over; Node tells nobody but us.
process.on('unhandledRejection', (error) => {
  if (error.name !== 'AbortError') throw error;
});
const watched = async (input, init = {}) => {
  const answer = await fetch(input, init);
  const whole = decodeURIComponent(String(input)) + (init.body ?? '');
  sent.push({ method: init.method ?? 'GET', document: /query[=\\": ]+(query|\{)/.test(whole), status: answer.status });
  return answer;
};
const flush = (name, data, error) => {
  console.log(JSON.stringify({ name, data, error: error && String(error), sent: sent.splice(0) }));
};

async function apollo(name, options) {
  const links = [new PersistedQueryLink({ sha256, ...options }), new HttpLink({ uri: url, headers, fetch: watched })];
  const client = new ApolloClient({ link: ApolloLink.from(links), cache: new InMemoryCache() });
  const query = gql(`query Apollo${name} { projects(first: 1) { totalCount } }`);
  for (const _ of [1, 2]) {
    const { data, error } = await client.query({ query, fetchPolicy: 'network-only', errorPolicy: 'all' });
    flush(`apollo ${name}`, data, error);
  }
}

async function urql(name, exchanges, query, options = {}) {
  const client = new Client({ url, fetchOptions: { headers }, fetch: watched, exchanges, ...options });
  for (const _ of [1, 2]) {
    const { data, error } = await client.query(query, {}, { requestPolicy: 'network-only' }).toPromise();
    flush(`urql ${name}`, data, error);
  }
}

await apollo('Post', {});
await apollo('Get', { useGETForHashedQueries: true });
await urql('plain', [fetchExchange], '{ projects(first: 1) { totalCount } }');
await urql('persisted', [persistedExchange({}), fetchExchange], 'query Urql { projects(first: 1) { totalCount } }');
