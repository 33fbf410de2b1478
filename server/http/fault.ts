import { MusterError, StateError } from '../../core/errors/muster-error.ts';
import { type ReasonCode, REASONS } from '../../core/errors/reasons.ts';
import { HTTP_STATUS } from './http-status.ts';

/** One field of a request that broke its schema. */
export interface FieldFault {
  /** JSON pointer into the part named first: `/body/label`, `/querystring/limit`. */
  readonly path: string;
  readonly message: string;
}

/** What of an error may be shown to a peer: made here from any thrown value, rendered as problem+json or as text. */
export interface Fault {
  readonly reason: ReasonCode;
  readonly status: number;
  /** Lower case, without internals. */
  readonly detail: string;
  /** What an operator does about it. */
  readonly hint: string;
  readonly retryAfterSeconds: number | undefined;
  readonly fields: readonly FieldFault[];
  /** The present state of the object that a change did not fit. */
  readonly current: object | undefined;
}

/** A change that does not fit the present state, which the answer shows. */
export class ConflictWithState extends StateError {
  readonly current: object;

  constructor(message: string, current: object) {
    super('conflict', message);
    this.current = current;
  }
}

/** A request that does not fit its schema, with each field that is wrong. */
export class SchemaFault extends Error {
  readonly fields: readonly FieldFault[];

  constructor(fields: readonly FieldFault[]) {
    super(fields.map((field) => `${field.path}: ${field.message}`).join('; '));
    this.name = 'SchemaFault';
    this.fields = fields;
  }
}

/** Errors of the HTTP framework, by its code, in our vocabulary. */
const frameworkReasons: Readonly<Record<string, readonly [ReasonCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too-large', 'the body is larger than this operation takes'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported-media-type',
    'this operation does not take the content type of the body',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed-request', 'expected a JSON body, found none'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['malformed-request', 'the body is not well-formed JSON'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed-request', 'the body is not as long as Content-Length says'],
  FST_ERR_BAD_URL: ['malformed-request', 'the path is not well-formed'],
  FST_ERR_MAX_PARAM_LENGTH_EXCEEDED: ['not-found', 'a path segment is too long'],
};

/** What a peer may learn of any thrown value. An unknown one tells nothing but that it happened. */
export function faultOf(error: unknown): Fault {
  if (error instanceof MusterError) {
    const detail = error.reason === 'internal' ? 'a fault of the server' : error.message;
    const current = error instanceof ConflictWithState ? error.current : undefined;
    return { ...fault(error.reason, detail, error.retryAfterSeconds), current };
  }
  if (error instanceof SchemaFault) return { ...fault('malformed-request', error.message), fields: error.fields };
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const known = frameworkReasons[error.code];
    if (known !== undefined) return fault(known[0], known[1]);
  }
  if (error instanceof Error && 'statusCode' in error && isClientStatus(error.statusCode)) {
    return { ...fault('malformed-request', 'the request is not well-formed'), status: error.statusCode };
  }
  return fault('internal', 'a fault of the server');
}

function fault(reason: ReasonCode, detail: string, retryAfterSeconds?: number): Fault {
  const { hint } = REASONS[reason];
  return { reason, status: HTTP_STATUS[reason], detail, hint, retryAfterSeconds, fields: [], current: undefined };
}

function isClientStatus(status: unknown): status is number {
  return typeof status === 'number' && status >= 400 && status < 500;
}
