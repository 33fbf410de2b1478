import { FRESHNESS } from './freshness.ts';

/** One operation of EST (RFC 7030 §3.2.2): the methods it takes and, where it takes a body, of which media type. */
interface Operation {
  readonly methods: readonly string[];
  readonly mediaType?: 'application/pkcs10' | 'application/pkcs7-mime' | typeof FRESHNESS;
}

const READ = ['GET', 'HEAD'] as const;
const SEND = ['POST'] as const;

/** The name of an operation, the last segment of its path. */
export type OperationName =
  | 'cacerts'
  | 'simpleenroll'
  | 'simplereenroll'
  | 'fullcmc'
  | 'serverkeygen'
  | 'csrattrs'
  | 'nonce';

/** The operations in the RFC's order, then `nonce` of draft-ietf-lamps-attestation-freshness. */
export const OPERATIONS: Readonly<Record<OperationName, Operation>> = {
  cacerts: { methods: READ },
  simpleenroll: { methods: SEND, mediaType: 'application/pkcs10' },
  simplereenroll: { methods: SEND, mediaType: 'application/pkcs10' },
  fullcmc: { methods: SEND, mediaType: 'application/pkcs7-mime' },
  serverkeygen: { methods: SEND, mediaType: 'application/pkcs10' },
  csrattrs: { methods: READ },
  nonce: { methods: [...READ, ...SEND], mediaType: FRESHNESS },
};

/** The operations that end in a certificate. */
export type EnrollmentOperation = 'simpleenroll' | 'simplereenroll' | 'serverkeygen';

/** What a path asks for: an operation at the endpoint of a label, or at the default endpoint. */
export interface Route {
  readonly label: string | undefined;
  readonly operation: OperationName;
}

/** A label as endpoints have them; anything else names no endpoint. */
const LABEL = /^[a-z0-9-]{1,63}$/;

/**
 * Reads the path below `/.well-known/est/`, from the right: the last segment is the operation, the one before it, if
 * any, the label, which may itself be the name of an operation (RFC 7030 §3.2.2). Undefined where it is neither.
 */
export function parsePath(path: string): Route | undefined {
  const segments = path.split('/', 3);
  const operation = segments.at(-1);
  if (segments.length > 2 || operation === undefined || !isOperation(operation)) return undefined;
  const [label] = segments.length === 2 ? segments : [];
  if (label !== undefined && !LABEL.test(label)) return undefined;
  return { label, operation };
}

function isOperation(name: string): name is OperationName {
  return Object.hasOwn(OPERATIONS, name);
}
