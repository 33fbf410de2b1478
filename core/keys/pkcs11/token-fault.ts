import pkcs11js from 'pkcs11js';

/**
 * What a failure of a token means for who asked.
 * - `lost`: the session, the login or the token is gone; connecting anew may help.
 * - `pin-refused`: never to be tried again, the token counts.
 * - `unsupported`: the token lacks the mechanism, or the key may not do this.
 * - `bad-data`: the token looked at the data and refused it.
 * - `missing-key`: no such key, or more than one.
 * - `insecure-key`: the key could leave the token.
 * - `failed`: anything else.
 */
export type FaultKind = 'lost' | 'pin-refused' | 'unsupported' | 'bad-data' | 'missing-key' | 'insecure-key' | 'failed';

/** A failure inside a token; never leaves core/keys, and crosses from the signer process as plain data. */
export class TokenFault extends Error {
  readonly kind: FaultKind;
  /** The CKR code, zero when the failure did not come from Cryptoki. */
  readonly code: number;

  constructor(kind: FaultKind, message: string, code = 0) {
    super(message);
    this.name = 'TokenFault';
    this.kind = kind;
    this.code = code;
  }

  /** What was thrown inside a call of the module, classified by its CKR code. */
  static from(thrown: unknown): TokenFault {
    if (thrown instanceof TokenFault) return thrown;
    const { code, message } = describe(thrown);
    return new TokenFault(KIND_OF.get(code) ?? 'failed', message, code);
  }
}

const CODES: Record<Exclude<FaultKind, 'missing-key' | 'insecure-key' | 'failed'>, readonly number[]> = {
  lost: [
    pkcs11js.CKR_HOST_MEMORY,
    pkcs11js.CKR_SLOT_ID_INVALID,
    pkcs11js.CKR_GENERAL_ERROR,
    pkcs11js.CKR_FUNCTION_FAILED,
    pkcs11js.CKR_DEVICE_ERROR,
    pkcs11js.CKR_DEVICE_MEMORY,
    pkcs11js.CKR_DEVICE_REMOVED,
    pkcs11js.CKR_KEY_HANDLE_INVALID,
    pkcs11js.CKR_OBJECT_HANDLE_INVALID,
    pkcs11js.CKR_OPERATION_ACTIVE,
    pkcs11js.CKR_OPERATION_NOT_INITIALIZED,
    pkcs11js.CKR_SESSION_CLOSED,
    pkcs11js.CKR_SESSION_COUNT,
    pkcs11js.CKR_SESSION_HANDLE_INVALID,
    pkcs11js.CKR_TOKEN_NOT_PRESENT,
    pkcs11js.CKR_TOKEN_NOT_RECOGNIZED,
    pkcs11js.CKR_USER_NOT_LOGGED_IN,
    pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED,
  ],
  'pin-refused': [
    pkcs11js.CKR_PIN_INCORRECT,
    pkcs11js.CKR_PIN_INVALID,
    pkcs11js.CKR_PIN_LEN_RANGE,
    pkcs11js.CKR_PIN_EXPIRED,
    pkcs11js.CKR_PIN_LOCKED,
    pkcs11js.CKR_USER_PIN_NOT_INITIALIZED,
  ],
  unsupported: [
    pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID,
    pkcs11js.CKR_ATTRIBUTE_VALUE_INVALID,
    pkcs11js.CKR_FUNCTION_NOT_SUPPORTED,
    pkcs11js.CKR_KEY_FUNCTION_NOT_PERMITTED,
    pkcs11js.CKR_KEY_SIZE_RANGE,
    pkcs11js.CKR_KEY_TYPE_INCONSISTENT,
    pkcs11js.CKR_MECHANISM_INVALID,
    pkcs11js.CKR_MECHANISM_PARAM_INVALID,
    pkcs11js.CKR_TEMPLATE_INCOMPLETE,
    pkcs11js.CKR_TEMPLATE_INCONSISTENT,
    pkcs11js.CKR_TOKEN_WRITE_PROTECTED,
  ],
  'bad-data': [
    pkcs11js.CKR_DATA_INVALID,
    pkcs11js.CKR_DATA_LEN_RANGE,
    pkcs11js.CKR_ENCRYPTED_DATA_INVALID,
    pkcs11js.CKR_ENCRYPTED_DATA_LEN_RANGE,
    pkcs11js.CKR_WRAPPED_KEY_INVALID,
    pkcs11js.CKR_WRAPPED_KEY_LEN_RANGE,
  ],
};

const KIND_OF: ReadonlyMap<number, FaultKind> = new Map(
  Object.entries(CODES).flatMap(([kind, codes]) => codes.map((code): [number, FaultKind] => [code, kind as FaultKind])),
);

function describe(thrown: unknown): { code: number; message: string } {
  if (!(thrown instanceof Error)) return { code: 0, message: String(thrown) };
  const code = 'code' in thrown && typeof thrown.code === 'number' ? thrown.code : 0;
  return { code, message: thrown.message };
}
