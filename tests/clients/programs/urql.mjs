// The journey with urql and its normalised cache. Objects update themselves from what mutations and events answer; of lists the
// cache is told.
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { introspectionFromSchema } from 'graphql';
import { signIn, socket, url } from './connect.mjs';
import { documents, embedded, schema } from './documents.mjs';
import { journey } from './journey.mjs';

const [table, email, password] = process.argv.slice(2);
const key = await signIn(email, password);
const live = socket(key);

// urql ends each of its fetches when it has what it wants, also those that are over; Node tells nobody but us.
process.on('unhandledRejection', (error) => {
  if (error.name !== 'AbortError') throw error;
});

/** Changes a list of an object, with whatever arguments it was asked for. */
function change(cache, parent, list, how) {
  for (const { fieldKey } of cache.inspectFields(parent).filter(({ fieldName }) => fieldName === list)) {
    const connection = cache.resolve(parent, fieldKey);
    cache.link(connection, 'nodes', how(cache.resolve(connection, 'nodes')));
  }
}
/** Puts what was made at the head of a list: once, though urql may call this again. */
function add(cache, parent, list, thing) {
  change(cache, parent, list, (nodes) => [...new Set([cache.keyOfEntity(thing), ...nodes])]);
}
/** Takes what was deleted out of a list, and out of the cache. */
function remove(cache, parent, list, __typename, id) {
  const key = cache.keyOfEntity({ __typename, id });
  change(cache, parent, list, (nodes) => nodes.filter((node) => node !== key));
  cache.invalidate(key);
}
const updates = {
  createProject: ({ project }, cache) => add(cache, 'Query', 'projects', project),
  uploadDataset: ({ dataset }, cache) => add(cache, dataset.project, 'datasets', dataset),
  createExperiment: ({ experiment }, cache) => add(cache, experiment.project, 'experiments', experiment),
  createDeployment: ({ deployment }, cache) => add(cache, deployment.project, 'deployments', deployment),
  deleteDeployment: ({ deletedId, project }, cache) => remove(cache, project, 'deployments', 'Deployment', deletedId),
  deleteModel: ({ deletedId, experiment }, cache) => remove(cache, experiment, 'models', 'Model', deletedId),
  deleteExperiment: ({ deletedId, project }, cache) => remove(cache, project, 'experiments', 'Experiment', deletedId),
  deleteProject: ({ deletedId }, cache) => remove(cache, 'Query', 'projects', 'Project', deletedId),
};
// What was refused has `userErrors`, and changes nothing.
const unlessRefused = ([name, update]) => [
  name,
  (result, _, cache) => result[name].userErrors.length || update(result[name], cache),
];
const cache = cacheExchange({
  schema: introspectionFromSchema(schema),
  keys: Object.fromEntries(embedded.map((type) => [type, () => null])),
  updates: { Mutation: Object.fromEntries(Object.entries(updates).map(unlessRefused)) },
});
const options = { url, preferGetMethod: false, fetchOptions: { headers: { authorization: `Bearer ${key}` } } };
const subscriptions = subscriptionExchange({
  forwardSubscription: (request) => ({ subscribe: (sink) => ({ unsubscribe: live.subscribe(request, sink) }) }),
});
const client = new Client({ ...options, exchanges: [cache, subscriptions, fetchExchange] });
const uncached = new Client({ ...options, exchanges: [fetchExchange] });

const done = async (asked) => {
  const { data, error } = await asked.toPromise();
  if (error) throw error;
  return data;
};

await journey(
  {
    ask: (name, variables) => done(client.query(documents[name], variables, { requestPolicy: 'network-only' })),
    cached: (name, variables) => client.readQuery(documents[name], variables)?.data,
    fresh: (name, variables) => done(uncached.query(documents[name], variables)),
    mutate: async (name, input) => Object.values(await done(client.mutation(documents[name], { input })))[0],
    follow(name, variables, heard) {
      const events = client.subscription(documents[name], variables);
      return events.subscribe(({ data }) => heard(Object.values(data)[0])).unsubscribe;
    },
  },
  { table, key },
);
await live.dispose();
