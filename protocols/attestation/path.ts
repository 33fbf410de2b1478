/** The operations of the front door by the last segment of their path, with the methods they take. */
export const OPERATIONS = {
  nonce: { methods: ['GET', 'HEAD', 'POST'] },
  attest: { methods: ['POST'] },
  secret: { methods: ['POST'] },
  ticket: { methods: ['POST'] },
  matter: { methods: ['POST'] },
} as const satisfies Record<string, { readonly methods: readonly string[] }>;

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS;

/** What a path asks for. */
export interface Route {
  readonly label: string;
  readonly operation: OperationName;
}

/** A label as endpoints have them; anything else names no endpoint. */
const LABEL = /^[a-z0-9-]{1,63}$/;

/** Reads what stands behind `/attestation/`: a label and an operation. Undefined where it is neither. */
export function parsePath(path: string): Route | undefined {
  const [label = '', operation = '', ...rest] = path.split('/', 3);
  if (rest.length > 0 || !LABEL.test(label) || !Object.hasOwn(OPERATIONS, operation)) return undefined;
  return { label, operation: operation as OperationName };
}
