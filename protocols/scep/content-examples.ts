import { assembleSigned, type Certificate } from '../../core/x509/certificate.ts';
import { challengePasswordAttribute, encodeCertificationRequestInfo } from '../../core/x509/certification-request.ts';
import { encodeCertificateReference } from './certificate-reference.ts';

/** Content of each kind that can be read, for `even-work.ts`; made from the RA's certificate, once for each. */
export interface ContentExamples {
  /** A PKCS #10 request whose signature is none. */
  readonly request: Uint8Array;
  /** An IssuerAndSerialNumber that names a certificate of the RA's issuer which does not exist. */
  readonly reference: Uint8Array;
}

const examples = new WeakMap<Certificate, ContentExamples>();

/** The examples that go with an RA certificate. */
export function contentExamples(certificate: Certificate): ContentExamples {
  let found = examples.get(certificate);
  if (found === undefined) {
    found = {
      request: exampleRequest(certificate),
      reference: encodeCertificateReference(certificate.issuer, NO_SERIAL),
    };
    examples.set(certificate, found);
  }
  return found;
}

/** Sixteen octets that no certificate of ours has: serial numbers are random. */
const NO_SERIAL = new Uint8Array(16).fill(0x7f);

function exampleRequest({ subject, publicKey }: Certificate): Uint8Array {
  const attributes = [challengePasswordAttribute('0'.repeat(32))];
  const info = encodeCertificationRequestInfo({ subject, publicKey, attributes });
  return assembleSigned(info, 'sha256WithRSAEncryption', new Uint8Array(256));
}
