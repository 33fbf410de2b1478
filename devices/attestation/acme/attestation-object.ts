import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { type Certificate, parseCertificate } from '../../../core/x509/certificate.ts';
import { cborArray, cborBytes, CborError, cborMap, type CborMap, cborText, decodeCbor } from '../cbor.ts';
import { EvidenceFault } from '../findings.ts';

/** A WebAuthn attestation object as device-attest-01 has it: authData, where it comes, is not looked at (draft-ietf-acme-device-attest). */
export interface AttestationObject {
  readonly format: string;
  readonly statement: CborMap;
}

const MAX_CERTIFICATES = 8;
const MAX_CERTIFICATE_OCTETS = 8 * 1024;
const MEMBERS: ReadonlySet<unknown> = new Set(['fmt', 'attStmt', 'authData']);

/** Decodes an attestation object of at most 64 KiB. @throws EvidenceFault `acme-object-malformed` */
export function decodeAttestationObject(octets: Uint8Array): AttestationObject {
  return readingCbor(() => {
    const object = cborMap(decodeCbor(octets), 'the attestation object');
    const unknown = [...object.keys()].find((key) => !MEMBERS.has(key));
    if (unknown !== undefined) throw new CborError('fmt, attStmt and authData', String(unknown).slice(0, 32));
    return { format: cborText(object.get('fmt'), 'fmt'), statement: cborMap(object.get('attStmt'), 'attStmt') };
  });
}

/** The `fmt` of an attestation object; undefined where the octets are none. */
export function attestationObjectFormat(octets: Uint8Array): string | undefined {
  try {
    return decodeAttestationObject(octets).format;
  } catch (error) {
    if (error instanceof EvidenceFault) return undefined;
    throw error;
  }
}

/** `x5c`: 1 to 8 certificates, the one that attests first. @throws EvidenceFault `acme-object-malformed` */
export function statementCertificates(statement: CborMap): readonly [Certificate, ...Certificate[]] {
  return readingCbor(() => {
    const ders = cborArray(statement.get('x5c'), 'x5c').map((der) => cborBytes(der, 'x5c'));
    if (ders.length > MAX_CERTIFICATES)
      throw new CborError(`at most ${MAX_CERTIFICATES} certificates`, `${ders.length}`);
    const [first, ...others] = ders.map((der) => certificateOf(der));
    if (first === undefined) throw new CborError('a certificate in x5c', 'none');
    return [first, ...others];
  });
}

/** Runs what reads members of a statement. @throws EvidenceFault `acme-object-malformed` for its CborErrors */
export function readingCbor<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof CborError) throw new EvidenceFault('acme-object-malformed', error.message, { cause: error });
    throw error;
  }
}

function certificateOf(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE_OCTETS) {
    throw new CborError(`certificates of at most ${MAX_CERTIFICATE_OCTETS} octets`, `${der.length}`);
  }
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('acme-object-malformed', error.message, { cause: error });
    throw error;
  }
}
