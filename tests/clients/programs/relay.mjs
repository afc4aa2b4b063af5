// The journey with relay-runtime. Directives of its documents put what was made into the lists, which are connections, and take
// out what was deleted; objects update themselves from what mutations and events answer.
import relay from 'relay-runtime';
import { signIn, socket, url } from './connect.mjs';
import { journey } from './journey.mjs';
import { leaderboard, mutations, queries, subscriptions } from './Relay.js';

const { ConnectionHandler, Environment, Network, Observable, RecordSource, ROOT_ID, Store } = relay;
const { commitMutation, createOperationDescriptor, fetchQuery, getSingularSelector, requestSubscription } = relay;
const [table, email, password] = process.argv.slice(2);
const key = await signIn(email, password);
const live = socket(key);

async function ask({ text: query }, variables) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) })).json();
}
const listen = ({ text: query }, variables) => Observable.create((sink) => live.subscribe({ query, variables }, sink));
const environment = () => new Environment({ network: Network.create(ask, listen), store: new Store(new RecordSource()) });
const client = environment();

let page; // the project whose page is open
const connection = (list) =>
  ConnectionHandler.getConnectionID(list === 'projects' ? ROOT_ID : page, `Relay_${list}`);
/** The list that each mutation changes. */
const listOf = (name) => `${name.replace(/Create|Upload|Delete/, '').toLowerCase()}s`;

const operation = (name, variables) => createOperationDescriptor(queries[name], variables);

/** What a store says; nothing where it knows only a part. Cursors are Relay's own business. */
function read(store, name, variables) {
  const { data, isMissingData } = store.lookup(operation(name, variables).fragment);
  if (isMissingData) return undefined;
  const shown = data.node ? { experiment: store.lookup(getSingularSelector(leaderboard, data.node)).data } : data;
  return JSON.parse(JSON.stringify(shown, (field, value) => (['cursor', 'pageInfo'].includes(field) ? undefined : value)));
}

async function fetched(store, name, variables) {
  await fetchQuery(store, queries[name], variables).toPromise();
  return read(store, name, variables);
}

await journey(
  {
    ask(name, variables) {
      if (name === 'ProjectPage') page = variables.id;
      client.retain(operation(name, variables));
      return fetched(client, name, variables);
    },
    cached: (name, variables) => read(client, name, variables),
    fresh: (name, variables) => fetched(environment(), name, variables),
    mutate: (name, input) =>
      new Promise((resolve, reject) =>
        commitMutation(client, {
          mutation: mutations[name],
          variables: { input, connections: [connection(listOf(name))] },
          onCompleted: (data) => resolve(Object.values(data)[0]),
          onError: reject,
        }),
      ),
    follow(name, variables, heard) {
      const onNext = (data) => heard(Object.values(data)[0]);
      return requestSubscription(client, { subscription: subscriptions[name], variables, onNext }).dispose;
    },
  },
  { table, key },
);
await live.dispose();
