import type { BodyKind } from './pki-body.ts';
import { INFO_TYPE } from './oids.ts';

/** What a path asks for: an endpoint by its label, or the default one, and perhaps an operation. */
export interface Route {
  readonly label: string | undefined;
  readonly operation: OperationLabel | undefined;
}

/** Operation labels (RFC 9483 §6.1) with the body they stand for, and for genm the information type asked for. */
export const OPERATION_LABELS = {
  initialization: { body: 'ir' },
  certification: { body: 'cr' },
  keyupdate: { body: 'kur' },
  pkcs10: { body: 'p10cr' },
  revocation: { body: 'rr' },
  getcacerts: { body: 'genm', infoType: INFO_TYPE.caCerts },
  getrootupdate: { body: 'genm', infoType: INFO_TYPE.rootCaCert },
  getcertreqtemplate: { body: 'genm', infoType: INFO_TYPE.certReqTemplate },
  getcrls: { body: 'genm', infoType: INFO_TYPE.crlStatusList },
  nested: { body: 'nested' },
  // draft-ietf-lamps-attestation-freshness §6; the information type is the endpoint's to say.
  getnonce: { body: 'genm' },
} as const satisfies Record<string, { readonly body: BodyKind; readonly infoType?: string }>;

/** One operation label. */
export type OperationLabel = keyof typeof OPERATION_LABELS;

/** A label as endpoints have them; anything else names no endpoint. */
const LABEL = /^[a-z0-9-]{1,63}$/;

/** Reads what follows `/.well-known/cmp` (RFC 9811 §3.4): nothing, an operation, or `p/<label>[/<operation>]`. Undefined where it is neither. */
export function parseWellKnownPath(path: string): Route | undefined {
  const segments = path.split('/', 5).filter((segment, index, all) => segment !== '' || index < all.length - 1);
  const [first, label, operation, ...rest] = segments;
  if (first === undefined) return { label: undefined, operation: undefined };
  if (first !== 'p')
    return segments.length === 1 && isOperation(first) ? { label: undefined, operation: first } : undefined;
  if (label === undefined || !LABEL.test(label) || rest.length > 0) return undefined;
  if (operation === undefined) return { label, operation };
  return isOperation(operation) ? { label, operation } : undefined;
}

/** Reads the alias of another CA's path (C2), which is a label here. */
export function parseAlias(path: string): Route | undefined {
  const label = path.replace(/\/$/, '');
  return LABEL.test(label) ? { label, operation: undefined } : undefined;
}

function isOperation(name: string): name is OperationLabel {
  return Object.hasOwn(OPERATION_LABELS, name);
}
