// What the libraries of npm say of webhooks: from each line `{secret, headers, body}` to `{standardwebhooks, svix}`.
import { createInterface } from "node:readline";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

const accepts = (Verifier, { secret, headers, body }) => {
  try {
    new Verifier(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  console.log(JSON.stringify({ standardwebhooks: accepts(Standard, asked), svix: accepts(Svix, asked) }));
}
