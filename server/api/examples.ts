import type { TSchema } from 'typebox';

/** A schema as JSON, as far as an example is made from it. */
interface Shape {
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Shape[];
  readonly type?: string;
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly minLength?: number;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly items?: Shape;
}

/** What members of these names look like, in every object. */
const BY_NAME: Readonly<Record<string, unknown>> = {
  id: '019aab3c-5e0a-7c41-9d1e-3f2a8b7c6d5e',
  label: 'branch-routers',
  name: 'router1.example',
  subject: 'CN=router1.example,O=Example',
  deviceName: 'router1.example',
  serialNumber: '4f1c09a2b37d5e6081',
  fingerprint: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  requestSha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  publicKeySha256: '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae',
  sourceAddress: '192.0.2.17',
  url: 'https://muster.example/hook',
  createdBy: 'token:019aab3c-5e0a-7c41-9d1e-3f2a8b7c6d5e',
  actor: 'token:019aab3c-5e0a-7c41-9d1e-3f2a8b7c6d5e',
  action: 'certificate.issued',
  object: 'certificate:019aab3c-5e0a-7c41-9d1e-3f2a8b7c6d5e',
  keyAlgorithm: 'EC P-256',
  version: '0.1.0',
  profile: 'device',
  authority: 'issuing',
  comment: 'seen on site',
  email: 'noc@example.com',
  cursor: 'MDE5YWFiM2M',
  nextCursor: 'MDE5YWFiM2M',
};

/**
 * An example of what a schema describes: its own first `examples`, else one put together from its members, with what required and
 * optional members of the same name look like everywhere. It validates against the schema; a test proves it for every route.
 */
export function exampleOf(schema: TSchema): unknown {
  return valueOf(schema as Shape, '', 0);
}

/** Deeper than any schema of ours. */
const MAX_DEPTH = 12;

function valueOf(schema: Shape, name: string, depth: number): unknown {
  if (schema.examples !== undefined) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum.includes(schema.default) ? schema.default : schema.enum[0];
  if (schema.anyOf !== undefined) return valueOf(schema.anyOf[0]!, name, depth);
  if (schema.default !== undefined && schema.type !== 'object') return schema.default;
  switch (schema.type) {
    case 'object':
      return objectOf(schema, depth);
    case 'array':
      return schema.items === undefined || depth >= MAX_DEPTH ? [] : [valueOf(schema.items, singular(name), depth + 1)];
    case 'integer':
    case 'number':
      return schema.minimum ?? 1;
    case 'boolean':
      return true;
    case 'string':
      return textOf(schema, name);
    case 'null':
      return null;
    case undefined:
    default:
      return {};
  }
}

function objectOf({ properties = {}, required = [] }: Shape, depth: number): object {
  const members = Object.entries(properties).filter(([name]) => depth < MAX_DEPTH || required.includes(name));
  return Object.fromEntries(members.map(([name, member]) => [name, valueOf(member, name, depth + 1)]));
}

/** Texts of the forms that patterns ask for. */
const FORMS = [
  '9f86d081884c7d65',
  '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  '192.0.2.0/24',
  'https://muster.example/',
  '1.3.6.1.5.5.7.3.2',
  'FFF1',
  'dns:router1.example',
  '/etc/muster/tls',
  'SHA256:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg',
  'fff1',
];

function textOf({ format, pattern, minLength = 0 }: Shape, name: string): string {
  if (format === 'date-time') return '2026-11-22T10:00:00.000Z';
  const fits = (text: unknown): text is string =>
    typeof text === 'string' &&
    text.length >= minLength &&
    (pattern === undefined || new RegExp(pattern, 'u').test(text));
  const candidates = [BY_NAME[name], name, 'example', ...FORMS];
  return candidates.find(fits) ?? 'x'.repeat(minLength);
}

function singular(name: string): string {
  return name.replace(/s$/, '');
}
