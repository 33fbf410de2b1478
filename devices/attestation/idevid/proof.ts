import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { decode } from '../../../core/asn1/codec.ts';
import { octetString, sequence } from '../../../core/asn1/schema.ts';
import { parseSignedData } from '../../../core/cms/signed-data-syntax.ts';
import { type VerifiedSignedData, verifySignedData } from '../../../core/cms/verify-signed-data.ts';
import { CONTENT_TYPE } from '../../../core/cms/oids.ts';
import { type Certificate, parseCertificate } from '../../../core/x509/certificate.ts';
import { octetsEqual } from '../../../core/x509/octets.ts';
import { type SubjectPublicKeyInfo, subjectPublicKeyInfoSchema } from '../../../core/x509/public-key.ts';
import { EvidenceFault } from '../findings.ts';

/** What a device has signed with the key of its IDevID. */
export interface IdevidProof {
  /** The device's certificate first, then the others of the message. Nothing about them is trusted. */
  readonly chain: readonly Certificate[];
  readonly nonce: Uint8Array;
  /** The key that a certificate is wanted for. */
  readonly publicKey: SubjectPublicKeyInfo;
}

const proofContent = sequence('IdevidProof', { nonce: octetString, publicKey: subjectPublicKeyInfoSchema });

const MAX_OCTETS = 64 * 1024;

/**
 * Reads and verifies evidence of type `idevid`: CMS SignedData (RFC 5652) of the IDevID's key, with the certificates, over id-data
 * that holds `SEQUENCE { nonce OCTET STRING, publicKey SubjectPublicKeyInfo }`. Whose certificate it is, is not looked at.
 * @throws EvidenceFault `idevid-malformed`, `idevid-proof-invalid`
 */
export function readIdevidProof(octets: Uint8Array): IdevidProof {
  try {
    if (octets.length > MAX_OCTETS) throw malformed(`expected at most ${MAX_OCTETS} octets, found ${octets.length}`);
    const signedData = parseSignedData(octets);
    const verdict = verifySignedData(signedData);
    if (!verdict.ok) throw new EvidenceFault('idevid-proof-invalid', `${verdict.finding}: ${verdict.detail}`);
    return { chain: chainOf(verdict, signedData.certificates), ...contentOf(verdict) };
  } catch (error) {
    if (error instanceof Asn1Error) throw malformed(error.message, error);
    throw error;
  }
}

function chainOf(
  { signerCertificate }: VerifiedSignedData,
  certificates: readonly Uint8Array[],
): readonly Certificate[] {
  const others = certificates.filter((der) => !octetsEqual(der, signerCertificate));
  return [signerCertificate, ...others].map((der) => parseCertificate(der));
}

function contentOf({ contentType, content }: VerifiedSignedData): Pick<IdevidProof, 'nonce' | 'publicKey'> {
  if (contentType !== CONTENT_TYPE.data) throw malformed(`expected content of type id-data, found ${contentType}`);
  return decode(proofContent, content);
}

function malformed(detail: string, cause?: Asn1Error): EvidenceFault {
  return new EvidenceFault('idevid-malformed', detail, cause === undefined ? undefined : { cause });
}
