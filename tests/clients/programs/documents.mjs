// The operations of journey.graphql by name, and what a normalised cache must know of the schema.
import { readFileSync } from 'node:fs';
import { buildSchema, isAbstractType, isObjectType, parse, separateOperations } from 'graphql';

const file = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');

/** Each with the fragments it spreads. */
export const documents = separateOperations(parse(file('journey.graphql')));
/** The contract: `schema/schema.graphql`, or what introspection says. */
export const schema = buildSchema(file('schema.graphql'));

const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));

/** Interfaces and unions, and the types they stand for. */
export const possibleTypes = Object.fromEntries(
  types.filter(isAbstractType).map((type) => [type.name, schema.getPossibleTypes(type).map(({ name }) => name)]),
);
/** Types whose objects have no `id`: they belong to the object they are in. */
export const embedded = types.filter((type) => isObjectType(type) && !type.getFields().id).map(({ name }) => name);
