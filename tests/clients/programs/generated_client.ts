// The journey of the README with types that openapi-typescript made, and openapi-fetch: compiled strictly, then run by Node.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import createClient from "openapi-fetch";
import type { components, paths } from "./coreplexml.js";

const client = createClient<paths>({
  baseUrl: process.env["BASE_URL"]!,
  headers: { Authorization: `Bearer ${process.env["KEY"]!}` },
});

/** The data of an answer; a refusal ends the program. */
function done<T>(answer: { data?: T; error?: components["schemas"]["Error"] }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function form(fields: Record<string, unknown>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) made.append(name, value, basename(process.argv[2]!));
    else made.append(name, String(value));
  }
  return made;
}

const { project } = done(await client.POST("/api/projects", { body: { name: "Flowers" } }));
const found = done(await client.GET("/api/projects/{project_id}", { params: { path: { project_id: project.id } } }));
if (found.project.name !== "Flowers") throw new Error(found.project.name);

const file = new Blob([await readFile(process.argv[2]!)], { type: "text/csv" });
const dataset = done(
  await client.POST("/api/datasets/upload", {
    body: { project_id: project.id, name: "Iris", file: file as unknown as string },
    bodySerializer: form,
  }),
);

const made = done(
  await client.POST("/api/experiments", {
    body: {
      project_id: project.id,
      dataset_version_id: dataset.dataset_version_id,
      name: "First try",
      target_column: "species",
      problem_type: "classification",
      config: { include_algos: ["GLM"], max_models: 1, nfolds: 2 },
    },
  }),
);

const at = { params: { path: { experiment_id: made.experiment_id } } };
let status = done(await client.GET("/api/experiments/{experiment_id}/status", at));
while (status.status === "queued" || status.status === "running") {
  await new Promise((resolve) => setTimeout(resolve, 500));
  status = done(await client.GET("/api/experiments/{experiment_id}/status", at));
}
if (status.status !== "succeeded") throw new Error(JSON.stringify(status));

const board = done(await client.GET("/api/experiments/{experiment_id}/leaderboard", at));
const best = board.items[0];
if (best === undefined || best.id !== status.best_model_id) throw new Error(JSON.stringify(board));

const deployment = done(
  await client.POST("/api/mlops/projects/{project_id}/deployments", {
    params: { path: { project_id: project.id } },
    body: { model_id: best.id, name: "flowers-v1", stage: "production" },
  }),
);
const answer = done(
  await client.POST("/api/mlops/deployments/{deployment_id}/predict", {
    params: { path: { deployment_id: deployment.deployment_id } },
    body: { inputs: { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 } },
  }),
);
console.log(answer.predictions[0]?.prediction);

const refused = await client.GET("/api/projects/{project_id}", { params: { path: { project_id: "nonsense" } } });
console.log(refused.error?.detail);
