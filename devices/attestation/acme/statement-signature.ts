import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { type SignatureAlgorithm, verifySignature } from '../../../core/x509/signature-algorithm.ts';
import { EvidenceFault } from '../findings.ts';

/** COSE algorithms of attestation statements (RFC 9053 §2, RFC 8812 §2). RS1, with SHA-1, is none of them. */
const ALGORITHMS: ReadonlyMap<number, SignatureAlgorithm> = new Map([
  [-7, 'ecdsa-with-SHA256'],
  [-35, 'ecdsa-with-SHA384'],
  [-36, 'ecdsa-with-SHA512'],
  [-8, 'ed25519'],
  [-257, 'sha256WithRSAEncryption'],
]);

/**
 * That the key signed these octets by the COSE algorithm `alg`; ECDSA as DER Ecdsa-Sig-Value, as WebAuthn has it.
 * @throws EvidenceFault `acme-signature-invalid`
 */
export function verifyStatementSignature(
  publicKey: SubjectPublicKeyInfo,
  alg: number,
  signed: Uint8Array,
  signature: Uint8Array,
): void {
  const algorithm = ALGORITHMS.get(alg);
  if (algorithm === undefined) throw new EvidenceFault('acme-signature-invalid', `expected a known alg, found ${alg}`);
  if (verifySignature(publicKey, algorithm, signed, signature)) return;
  throw new EvidenceFault(
    'acme-signature-invalid',
    `expected a signature by ${algorithm} of the attesting key, found another`,
  );
}
