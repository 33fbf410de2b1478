import type { EabKey } from '../../core/enrollment/eab-keys.ts';
import { type AccountKey, parseAccountKey } from './account-key.ts';
import type { AcmeDependencies, Call } from './dependencies.ts';
import { asObject, type JsonObject, parseObject } from './json.ts';
import { type Jws, macVerifies, parseJws } from './jws.ts';
import { AcmeProblem } from './problem.ts';

/** A binding that verified. */
export interface BoundKey {
  readonly key: EabKey;
  /** The JWS as it came, JSON. */
  readonly binding: string;
}

/**
 * The external account binding of a new account (RFC 8555 §7.3.4): an HS256 JWS over the account's own JWK.
 * @throws AcmeProblem `externalAccountRequired` where there must be one, `unauthorized` for one that does not verify.
 */
export async function verifyBinding(
  credentials: AcmeDependencies['credentials'],
  call: Call,
  payload: JsonObject,
  account: AccountKey,
): Promise<BoundKey | undefined> {
  const member = payload['externalAccountBinding'];
  if (member === undefined) {
    if (call.settings.externalAccount === 'optional') return undefined;
    throw new AcmeProblem('externalAccountRequired', 'new accounts here take a key: externalAccountBinding is missing');
  }
  const object = asObject(member, 'externalAccountBinding');
  const jws = parseJws(object);
  const reference = requireForm(jws, call, account);
  const key = await credentials.eabKey(call.endpoint, reference, call.sourceAddress);
  if (key === undefined) throw refused();
  if (!macVerifies(jws, key.secret)) {
    await key.failed();
    throw refused();
  }
  const { protected: header, payload: jwk, signature } = object;
  return { key, binding: JSON.stringify({ protected: header, payload: jwk, signature }) };
}

function requireForm(jws: Jws, call: Call, account: AccountKey): string {
  const fault = (what: string): AcmeProblem => new AcmeProblem('malformed', `externalAccountBinding: ${what}`);
  if (jws.algorithm !== 'HS256') throw fault('expected the algorithm HS256');
  if (jws.signer.kind !== 'kid') throw fault('expected a kid');
  if (jws.nonce !== undefined) throw fault('expected no nonce');
  if (jws.url !== call.url) throw fault('expected the url of the request');
  const jwk = parseAccountKey(parseObject(jws.payload, 'externalAccountBinding.payload'));
  if (jwk.thumbprint !== account.thumbprint) throw fault('expected the key of the account');
  return jws.signer.kid;
}

/** One answer for whatever is wrong with the credential. */
function refused(): AcmeProblem {
  return new AcmeProblem('unauthorized', 'the external account binding is not valid here');
}
