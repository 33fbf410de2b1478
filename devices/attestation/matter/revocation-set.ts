import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { PeerError } from '../../../core/errors/muster-error.ts';
import { type Certificate, subjectKeyIdentifier } from '../../../core/x509/certificate.ts';
import { parseCertificateList } from '../../../core/x509/crl.ts';
import { namesEqual } from '../../../core/x509/name.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { keyIdentifier } from '../../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../../core/x509/serial-number.ts';
import { verifySignature } from '../../../core/x509/signature-algorithm.ts';
import type { RevokedSerialNumbers } from '../revoked-certificates.ts';

/** Characters of a file with revocation sets; all that Matter's ledger holds takes a hundredth of it. */
const MAX_CHARACTERS = 64 * 1024 * 1024;
const KEY_ID = /^[0-9A-Fa-f]{40}$/;

/**
 * Reads a file of revocation sets as the Matter SDK's tools write them from the ledger: a JSON array of objects with
 * `issuer_subject_key_id` and `revoked_serial_numbers`. Who made the file vouches for it: it is not signed.
 * @throws PeerError `malformed-request`
 */
export function readRevocationSets(text: string): readonly RevokedSerialNumbers[] {
  const sets = jsonOf(text);
  if (!Array.isArray(sets)) throw malformed('an array of revocation sets', typeof sets);
  return sets.map((set: unknown) => {
    const { issuer_subject_key_id: issuerKeyId, revoked_serial_numbers: serialNumbers } = objectOf(set);
    if (typeof issuerKeyId !== 'string' || !KEY_ID.test(issuerKeyId)) {
      throw malformed('issuer_subject_key_id of 40 hex digits', 'another value');
    }
    if (!Array.isArray(serialNumbers)) throw malformed('revoked_serial_numbers as an array', typeof serialNumbers);
    return { issuerKeyId: issuerKeyId.toLowerCase(), serialNumbers: serialNumbers.map(serialOf) };
  });
}

/**
 * Reads Google's list of revoked Android attestation certificates: a JSON object with `entries` by serial number. All of them stand
 * under the issuer `android`, as the list names none. @throws PeerError `malformed-request`
 */
export function readAndroidStatusList(text: string): RevokedSerialNumbers {
  const { entries } = objectOf(jsonOf(text));
  return { issuerKeyId: 'android', serialNumbers: Object.keys(objectOf(entries)).map(serialOf) };
}

/**
 * Reads the CRL (DER) of a PAA, a PAI or a manufacturer's CA; it must be signed by `issuer` itself.
 * @throws PeerError `malformed-request`
 */
export function readRevocationCrl(der: Uint8Array, issuer: Certificate): RevokedSerialNumbers {
  try {
    const list = parseCertificateList(der);
    const isIssued =
      namesEqual(list.issuer, issuer.subject) &&
      verifySignature(issuer.publicKey, list.signatureAlgorithm, list.tbsDer, list.signature);
    if (!isIssued) throw malformed('a CRL of the issuer named', 'one of another');
    const keyId = subjectKeyIdentifier(issuer) ?? keyIdentifier(issuer.publicKey);
    return { issuerKeyId: toHex(keyId), serialNumbers: list.entries.map(({ serialNumber }) => serialNumber) };
  } catch (error) {
    if (error instanceof Asn1Error) throw new PeerError('malformed-request', error.message, { cause: error });
    throw error;
  }
}

function serialOf(value: unknown): string {
  try {
    return parseSerialNumber(String(value));
  } catch (error) {
    if (error instanceof Asn1Error) throw malformed('serial numbers in hex', 'another value', error);
    throw error;
  }
}

function jsonOf(text: string): unknown {
  if (text.length > MAX_CHARACTERS) throw malformed(`at most ${MAX_CHARACTERS} characters`, `${text.length}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed('JSON', 'other text', error);
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  throw malformed('an object', value === null ? 'null' : typeof value);
}

function malformed(expected: string, found: string, cause?: unknown): PeerError {
  return new PeerError(
    'malformed-request',
    `expected ${expected}, found ${found}`,
    cause === undefined ? {} : { cause },
  );
}
