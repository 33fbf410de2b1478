import pkcs11js, { type Handle, type Template } from 'pkcs11js';
import type { RsaPadding } from '../token-backend.ts';
import { type ObjectReader, readOctets } from './attributes.ts';
import { UNWRAP_MECHANISMS } from './mechanisms.ts';
import { TokenFault } from './token-fault.ts';

/**
 * Lets the token decrypt and remove the padding, and reads the result: for tokens that refuse bare RSA. `undefined` when the
 * token refused the ciphertext, or found another number of octets than `length`.
 *
 * The result is a session object that says it is extractable, as it is ours to use outside; it is destroyed at once.
 */
export function unwrapSecret(
  reader: ObjectReader,
  key: Handle,
  padding: RsaPadding,
  ciphertext: Uint8Array,
  length: number,
): Uint8Array | undefined {
  const { api, session } = reader;
  let secret: Handle;
  try {
    secret = api.C_UnwrapKey(session, UNWRAP_MECHANISMS[padding], key, Buffer.from(ciphertext), template());
  } catch (error) {
    return refusedData(reader, TokenFault.from(error));
  }
  try {
    const octets = readOctets(reader, secret, pkcs11js.CKA_VALUE);
    return octets?.length === length ? new Uint8Array(octets) : undefined;
  } finally {
    api.C_DestroyObject(session, secret);
  }
}

function template(): Template {
  return [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_GENERIC_SECRET },
    { type: pkcs11js.CKA_TOKEN, value: false },
    { type: pkcs11js.CKA_SENSITIVE, value: false },
    { type: pkcs11js.CKA_EXTRACTABLE, value: true },
  ];
}

/**
 * Tokens say "general error" of a bad padding, too. Whoever sends one must not make us reconnect, so a token that still
 * answers on the session has refused the data, not lost it.
 */
function refusedData({ api, session }: ObjectReader, fault: TokenFault): undefined {
  if (fault.kind === 'unsupported' || fault.kind === 'missing-key') throw fault;
  if (fault.kind === 'bad-data') return undefined;
  try {
    api.C_GetSessionInfo(session);
  } catch {
    throw fault;
  }
  return undefined;
}
