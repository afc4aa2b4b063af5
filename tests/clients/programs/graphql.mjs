// What babel-plugin-relay does when a program is built: puts what relay-compiler made in the place of a tagged document.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const artifact = (name) => require(`./__generated__/${name}.graphql`);
export const graphql = ([text]) => artifact(/(?:query|mutation|subscription|fragment) (\w+)/.exec(text)[1]);
