// The journey with Apollo Client 4. Objects update themselves from what mutations and events answer; of lists the cache is told.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { signIn, socket, url } from './connect.mjs';
import { documents, possibleTypes } from './documents.mjs';
import { journey } from './journey.mjs';

const [table, email, password] = process.argv.slice(2);
const key = await signIn(email, password);
const live = socket(key);

// What points to something deleted points to nothing.
const orNull = (existing, { canRead }) => (canRead(existing) ? existing : null);
const cache = new InMemoryCache({
  possibleTypes,
  typePolicies: { Deployment: { fields: { previousDeployment: orNull } }, Experiment: { fields: { bestModel: orNull } } },
});
const client = new ApolloClient({
  cache,
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(live),
    new HttpLink({ uri: url, headers: { authorization: `Bearer ${key}` } }),
  ),
});

/** Puts what was made at the head of a list of its parent. */
const add = (parent, list, thing) =>
  cache.modify({
    id: cache.identify(parent),
    fields: { [list]: (old, { toReference }) => ({ ...old, nodes: [toReference(thing), ...old.nodes] }) },
  });
const root = { __typename: 'Query' };
const updates = {
  CreateProject: ({ project }) => add(root, 'projects', project),
  UploadDataset: ({ dataset }) => add(dataset.project, 'datasets', dataset),
  CreateExperiment: ({ experiment }) => add(experiment.project, 'experiments', experiment),
  CreateDeployment: ({ deployment }) => add(deployment.project, 'deployments', deployment),
};

/** Takes what was deleted out of the cache, and so out of every list. */
const forget = (__typename, id) => cache.evict({ id: cache.identify({ __typename, id }) });

async function mutate(name, input) {
  const update = (_, { data }) => {
    const [done] = Object.values(data);
    if (done.userErrors.length) return; // what was refused changes nothing
    updates[name]?.(done);
    if (done.deletedId) forget(name.replace('Delete', ''), done.deletedId);
  };
  const { data } = await client.mutate({ mutation: documents[name], variables: { input }, update });
  return Object.values(data)[0];
}

const query = async (name, variables, fetchPolicy) =>
  (await client.query({ query: documents[name], variables, fetchPolicy })).data;

await journey(
  {
    ask: (name, variables) => query(name, variables, 'network-only'),
    cached: (name, variables) => client.readQuery({ query: documents[name], variables }),
    fresh: (name, variables) => query(name, variables, 'no-cache'),
    mutate,
    follow(name, variables, heard) {
      const events = client.subscribe({ query: documents[name], variables });
      const subscription = events.subscribe(({ data }) => heard(Object.values(data)[0]));
      return () => subscription.unsubscribe();
    },
  },
  { table, key },
);
client.stop();
await live.dispose();
