import type { Appraisal, AttestationGate } from '../../core/enrollment/ports.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';

const FAKE_EVIDENCE = 'application/fake-evidence';

/** Evidence that a key stands in hardware, as {@link FakeGate} believes it: the SubjectPublicKeyInfo itself. */
export function evidenceFor(publicKey: SubjectPublicKeyInfo): Evidence {
  return { type: FAKE_EVIDENCE, bytes: publicKey.der };
}

/** A gate that affirms evidence of its own type, and knows the one identifier `serial`. */
export class FakeGate implements AttestationGate {
  appraised = 0;

  async challenge(): Promise<Uint8Array> {
    return new Uint8Array(32);
  }

  async appraise({ type, bytes }: Evidence): Promise<Appraisal> {
    this.appraised += 1;
    if (type !== FAKE_EVIDENCE)
      return { verdict: 'refused', attestedPublicKey: undefined, identifiers: {}, findings: ['unknown-evidence'] };
    return {
      verdict: 'affirmed',
      attestedPublicKey: parseSubjectPublicKeyInfo(bytes),
      identifiers: { serial: 'SN-1' },
      findings: [],
    };
  }
}
