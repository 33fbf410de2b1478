import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';

/**
 * What an administrator may write, with every default: the one source of the YAML file, of the environment variables and
 * of config/muster.full.yaml (a test compares). Secrets are references, see reference.ts.
 */

/** An object that may be left out whole, and refuses keys it does not know. */
function section<P extends TProperties>(description: string, properties: P): TObject<P> {
  return Type.Object(properties, { description, additionalProperties: false, default: {} });
}

const text = (description: string, value: string) => Type.String({ description, default: value, minLength: 1 });
const whole = (description: string, value: number, minimum = 0, maximum = 1_000_000_000) =>
  Type.Integer({ description, default: value, minimum, maximum });
const optionalUrl = (description: string) =>
  Type.Optional(Type.String({ description, pattern: '^https?://[^/?#@]+(/[^?#]*)?$' }));
const reference = (description: string) => Type.String({ description, pattern: '^(env|file):.+$' });

const listener = (description: string, host: string, port: number) =>
  section(description, {
    host: text('Address to bind: an IP address, or a name of this host.', host),
    port: whole('TCP port; 0 takes any free one.', port, 0, 65_535),
  });

const token = Type.Object(
  {
    label: Type.String({ description: 'The label of the PKCS#11 token.', minLength: 1, maxLength: 32 }),
    module: Type.String({ description: 'Path of the PKCS#11 library.', minLength: 1 }),
    pin: reference('Where the user PIN is found.'),
    libraryParameters: Type.Optional(Type.String({ description: 'Handed to C_Initialize (NSS wants it).' })),
    process: Type.Enum(['auto', 'own', 'shared'], {
      description:
        'Where the library runs: `shared` in this process, `own` in a signer process, `auto` decides by library.',
      default: 'auto',
    }),
    operationTimeoutMs: whole(
      'Milliseconds an operation may take before the token counts as hung.',
      3_000,
      100,
      60_000,
    ),
    maxSessions: whole('Sessions open at once.', 8, 1, 1_024),
    queueLimit: whole('Operations of one tenant that may wait before the next is refused with 503.', 1_024, 1, 100_000),
  },
  { description: 'A PKCS#11 token.', additionalProperties: false },
);

/** The schema of the configuration file. */
export const settingsSchema = section('Configuration of `muster serve`.', {
  data: text(
    'Folder of everything Muster keeps: database, SoftHSM token, certificates. Relative to the working directory.',
    './data',
  ),
  publicUrls: section(
    "How devices and people reach the listeners from outside; default: this host's name and the listener's port.",
    {
      plain: optionalUrl('Goes into the CDP and AIA of certificates: choose it before the first one is issued.'),
      mtls: optionalUrl('EST and CMP.'),
      tls: optionalUrl('SCEP over HTTPS, ACME.'),
      admin: optionalUrl('REST and dashboard.'),
    },
  ),
  publicNames: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
    description: 'Further DNS names and IP addresses for our own TLS certificates.',
    default: [],
  }),
  listeners: section('Where we listen.', {
    plain: listener('SCEP, CMP, OCSP, CRL, health: HTTP.', '0.0.0.0', 8080),
    mtls: listener('EST, CMP: HTTPS that asks for a client certificate.', '0.0.0.0', 8443),
    tls: listener('SCEP over HTTPS, ACME: HTTPS that does not.', '0.0.0.0', 8444),
    admin: listener('REST, OpenAPI, metrics, dashboard: HTTPS, on loopback unless changed.', '127.0.0.1', 9443),
  }),
  store: section('The database.', {
    url: text(
      '`sqlite:` (muster.db in the data folder), `sqlite:PATH`, `postgres://…` without a password, or a reference to a URL.',
      'sqlite:',
    ),
  }),
  redis: section("Shared short-lived state of several processes; without it, this process's memory.", {
    url: Type.Optional(
      Type.String({ description: '`redis://…` without a password, or a reference to a URL.', minLength: 1 }),
    ),
  }),
  tokens: Type.Array(token, {
    description: 'PKCS#11 tokens besides the SoftHSM token that the first start makes in the data folder.',
    default: [],
  }),
  limits: section('What peers may take.', {
    bodyBytes: whole('Largest request body.', 1_048_576, 1_024),
    headersTimeoutSeconds: whole('For the request line and headers to arrive.', 10, 1, 3_600),
    requestTimeoutSeconds: whole('For the whole request to arrive.', 60, 1, 3_600),
    keepAliveSeconds: whole('An idle connection is kept.', 75, 1, 3_600),
    connections: whole('Connections open at once on one listener; 0: no limit.', 20_000),
    connectionsPerSource: whole('Connections open at once from one address on one listener; 0: no limit.', 2_000),
    adminRequestsPerMinute: whole('Requests of one address to the admin listener; 0: no limit.', 6_000),
    eventLoopDelayMs: whole('Mean delay of the event loop beyond which requests get 503; 0: never.', 1_000),
    shutdownGraceSeconds: whole('For requests in flight to finish when we stop.', 10, 0, 3_600),
  }),
  alerts: section('When a certificate is announced that is about to end: at the later of both, once.', {
    expiryDays: whole('Days before its end.', 30, 1, 3_650),
    expiryPercent: whole('Percent of its life that are left.', 33, 1, 100),
  }),
  log: section('The log: JSON lines on standard output.', {
    level: Type.Enum(['debug', 'info', 'warn', 'error', 'silent'], {
      description: 'The least severe level that is written.',
      default: 'info',
    }),
  }),
});

/** The configuration as written, defaults filled in, references not yet followed. */
export type Settings = Static<typeof settingsSchema>;

/** Walks the keys of a schema: `visit` sees each that is not a section, with its path. */
export function visitSettings(visit: (path: readonly string[], schema: TSchema) => void): void {
  visitSection([], settingsSchema, visit);
}

function visitSection(
  path: readonly string[],
  schema: TObject,
  visit: (path: readonly string[], schema: TSchema) => void,
): void {
  for (const [key, member] of Object.entries(schema.properties)) {
    if (Type.IsObject(member)) visitSection([...path, key], member, visit);
    else visit([...path, key], member);
  }
}
