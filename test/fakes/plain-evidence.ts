import type { Evidence } from '../../core/enrollment/request.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { EvidenceFault } from '../../devices/attestation/findings.ts';
import type { EvidenceVerifier, Identifiers } from '../../devices/attestation/verifier.ts';

/** What plain evidence says: nothing is signed, so it is good for tests of the gate alone. */
export interface PlainEvidence {
  readonly key?: SubjectPublicKeyInfo;
  readonly nonce?: Uint8Array;
  readonly identifiers?: Identifiers;
  /** What the verifier does instead of affirming it. */
  readonly fails?: 'untrusted' | 'bug';
}

const hex = (octets: Uint8Array | undefined) => octets && Buffer.from(octets).toString('hex');

/** Plain evidence under a type that {@link plainVerifier} knows, or another one. */
export function plainEvidence({ key, nonce, ...rest }: PlainEvidence, type = 'eat'): Evidence {
  return { type, bytes: Buffer.from(JSON.stringify({ ...rest, key: hex(key?.der), nonce: hex(nonce) })) };
}

/** A verifier of plain evidence: it believes everything but the nonce. */
export function plainVerifier(): EvidenceVerifier {
  return {
    types: ['eat'],
    async appraise(bytes, context) {
      const said = JSON.parse(Buffer.from(bytes).toString()) as Omit<PlainEvidence, 'key' | 'nonce'> & {
        key?: string;
        nonce?: string;
      };
      if (said.fails === 'untrusted') throw new EvidenceFault('evidence-malformed', 'said to be refused');
      if (said.fails === 'bug') throw new TypeError('a bug of the verifier');
      if (said.nonce !== undefined && !(await context.takeNonce(Buffer.from(said.nonce, 'hex'))))
        throw new EvidenceFault('nonce-not-ours', 'the nonce is none of ours');
      return {
        attestedPublicKey: said.key === undefined ? undefined : parseSubjectPublicKeyInfo(Buffer.from(said.key, 'hex')),
        identifiers: said.identifiers ?? {},
        claims: { fake: true },
        findings: [],
      };
    },
  };
}
