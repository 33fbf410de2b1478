import { hash } from 'node:crypto';

/** The digests of some DER that devices and their owners compare, lower-case hex. MD5 and SHA-1 because old devices print no other. */
export interface Fingerprints {
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
}

/** The fingerprints of a certificate, a request or a SubjectPublicKeyInfo: digests of its whole DER. */
export function fingerprintsOf(der: Uint8Array): Fingerprints {
  return { md5: hash('md5', der), sha1: hash('sha1', der), sha256: hash('sha256', der) };
}
