// What the two followers share: one JSON line for each thing that happens; a line on standard input is a command.
import { createInterface } from 'node:readline';

export const say = (what) => console.log(JSON.stringify(what));
export const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const FOLLOW = 'subscription($job: ID!, $after: Long) { jobEvents(jobId: $job, after: $after) { seq message } }';
export const CREATE = 'mutation($name: String!) { createProject(input: {name: $name}) { project { name } } }';

/** Follows a job; who comes back goes on behind the last event it saw, because the payload is read anew. */
export function follow(client, job) {
  const variables = { job, after: 0 };
  const heard = (result) => {
    const event = result.data?.jobEvents;
    if (event) variables.after = event.seq;
    say(event ? { heard: event.message } : { errors: result.errors });
  };
  return client.subscribe(
    { query: FOLLOW, variables },
    { next: heard, error: (error) => say({ error: told(error) }), complete: () => say({ completed: true }) },
  );
}

/** The answer of a query or mutation. */
export const ask = (client, payload) =>
  new Promise((resolve, reject) => {
    let found;
    client.subscribe(payload, { next: (one) => (found = one), error: reject, complete: () => resolve(found) });
  });

export const told = (error) => (error instanceof Error ? error.message : JSON.stringify(error.reason ? [error.code, error.reason] : error));
