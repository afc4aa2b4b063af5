// From a table to a prediction and back, with whichever client. After each step what its cache says of the open pages is what
// the server says. A client is { ask, cached, fresh, mutate, follow }, see apollo.mjs.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { upload } from './connect.mjs';

const ROW = { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };

/** The test restarts the server. */
async function restarted() {
  console.log('restart');
  await once(process.stdin, 'data');
  process.stdin.pause();
}

/** Pages that are open: what the cache says of each must be what the server says. */
class Pages {
  open = new Map();

  constructor(client) {
    this.client = client;
  }

  async visit(name, id) {
    const variables = id ? { id } : {};
    this.open.set(`${name} ${id ?? ''}`, [name, variables]);
    return this.client.ask(name, variables);
  }

  leave(id) {
    for (const page of this.open.keys()) if (page.endsWith(id)) this.open.delete(page);
  }

  async areRight(step, only = '') {
    for (const [page, [name, variables]] of this.open) {
      if (!name.startsWith(only)) continue;
      const cached = this.client.cached(name, variables);
      assert.deepEqual(cached, await this.client.fresh(name, variables), `${page} after ${step}`);
    }
  }

  /** Does something, and looks at every page. */
  async change(name, input) {
    const done = await this.client.mutate(name, input);
    assert.deepEqual(done.userErrors, [], name);
    await this.areRight(name);
    return done;
  }
}

/** What is heard of a subscription; `until(test)` waits for an event. */
function listen(client, name, id) {
  const heard = [];
  const waiting = [];
  const stop = client.follow(name, { id, after: 0 }, (event) => {
    heard.push(event);
    for (const look of waiting) look();
  });
  const until = (test) =>
    new Promise((found) => {
      const look = () => heard.some(test) && found(heard);
      waiting.push(look);
      look();
    });
  return { heard, stop, until };
}

const ended = ({ type }) => type === 'job.succeeded';
const numbers = (events) => events.map(({ seq }) => seq);
const sorted = (events) => numbers(events).sort((a, b) => a - b);

/** Trains, and follows both experiment and project over a restart of the server. */
async function train(client, pages, project, datasetVersionId) {
  const { experiment, userErrors } = await client.mutate('CreateExperiment', {
    projectId: project.id,
    datasetVersionId,
    name: 'First try',
    targetColumn: 'species',
    problemType: 'CLASSIFICATION',
    config: { include_algos: ['GLM'], max_models: 1, nfolds: 2 },
  });
  assert.deepEqual(userErrors, []);
  await pages.areRight('CreateExperiment', 'Projects'); // from here on a worker is at it
  await pages.visit('Leaderboard', experiment.id);
  const ofExperiment = listen(client, 'ExperimentEvents', experiment.id);
  const ofProject = listen(client, 'ProjectEvents', project.id);
  await Promise.all([ofExperiment, ofProject].map(({ until }) => until(() => true)));
  await restarted();
  await Promise.all([ofExperiment, ofProject].map(({ until }) => until(ended)));
  await pages.areRight('training');
  for (const [name, id, { heard, stop }] of [
    ['ExperimentEvents', experiment.id, ofExperiment],
    ['ProjectEvents', project.id, ofProject],
  ]) {
    stop();
    const again = listen(client, name, id);
    await again.until(({ seq }) => seq === Math.max(...numbers(heard)));
    again.stop();
    assert.deepEqual(sorted(heard), sorted(again.heard), `${name}: each once`);
    if (name === 'ExperimentEvents') assert.deepEqual(numbers(heard), sorted(heard), 'in order');
  }
  return experiment;
}

export async function journey(client, { table, key }) {
  const pages = new Pages(client);
  await pages.visit('Projects');
  const { project } = await pages.change('CreateProject', { name: 'Flowers' });
  await pages.visit('ProjectPage', project.id);
  await pages.change('RenameProject', { projectId: project.id, name: 'Irises' });
  const uploaded = { projectId: project.id, name: 'Iris', uploadId: await upload(table, key) };
  const { version } = await pages.change('UploadDataset', uploaded);

  const experiment = await train(client, pages, project, version.id);
  const [best, second] = client.cached('Leaderboard', { id: experiment.id }).experiment.models.nodes;
  const { explanation } = (await pages.visit('Why', best.id)).model;
  assert.match(explanation.importance[0].feature, /petal/);

  const { deployment } = await pages.change('CreateDeployment', {
    projectId: project.id,
    modelId: best.id,
    name: 'flowers',
    stage: 'STAGING',
  });
  await pages.change('PromoteDeployment', { deploymentId: deployment.id, toStage: 'PRODUCTION' });
  const other = { projectId: project.id, modelId: second.id, name: 'flowers', stage: 'PRODUCTION' };
  const displacing = (await pages.change('CreateDeployment', other)).deployment;
  await pages.change('RollbackDeployment', { deploymentId: displacing.id });
  const asked = { deploymentId: deployment.id, inputs: [ROW], options: { contributions: 2 } };
  const { predictions } = await pages.change('Predict', asked);
  assert.equal(predictions[0].prediction, 'setosa');
  assert.equal(predictions[0].explanation.contributions.length, 2);

  await pages.change('DeactivateDeployment', { deploymentId: deployment.id });
  await pages.change('DeleteDeployment', { deploymentId: displacing.id });
  await pages.change('DeleteModel', { modelId: second.id });
  pages.leave(best.id);
  pages.leave(experiment.id);
  await pages.change('DeleteExperiment', { experimentId: experiment.id });
  pages.leave(project.id);
  await pages.change('DeleteProject', { projectId: project.id });
  console.log('done');
}
