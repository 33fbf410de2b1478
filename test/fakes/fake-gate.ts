import type { Appraisal, AttestationGate, EvidenceDecision, Standing } from '../../core/enrollment/ports.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import type { Unit } from '../../core/store/store.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';

const FAKE_EVIDENCE = 'application/fake-evidence';

/** Evidence that a key stands in hardware, as {@link FakeGate} believes it: the SubjectPublicKeyInfo itself. */
export function evidenceFor(publicKey: SubjectPublicKeyInfo): Evidence {
  return { type: FAKE_EVIDENCE, bytes: publicKey.der };
}

/** An appraisal with what a test is about. */
export function appraisalWith(changes: Partial<Appraisal>): Appraisal {
  return {
    evidenceId: 'evidence-1',
    type: FAKE_EVIDENCE,
    identity: undefined,
    verdict: 'affirmed',
    attestedPublicKey: undefined,
    requesterProved: false,
    identifiers: {},
    claims: {},
    findings: [],
    ...changes,
  };
}

/** A gate that affirms evidence of its own type, knows the one identifier `serial`, and remembers what was decided. */
export class FakeGate implements AttestationGate {
  appraised = 0;
  readonly decided: EvidenceDecision[] = [];
  /** Of the next certificate that is asked about. */
  lastStanding: Standing | undefined;
  readonly #appraise: (evidence: Evidence) => Appraisal;

  constructor(appraise: (evidence: Evidence) => Appraisal = believe) {
    this.#appraise = appraise;
  }

  async challenge(): Promise<Uint8Array> {
    return new Uint8Array(32);
  }

  async appraise(evidence: Evidence): Promise<Appraisal> {
    this.appraised += 1;
    return this.#appraise(evidence);
  }

  async preAppraise(evidence: Evidence): Promise<Appraisal> {
    return this.appraise(evidence);
  }

  async identify(): Promise<undefined> {}

  async recall(): Promise<undefined> {}

  async standing(): Promise<Standing | undefined> {
    return this.lastStanding;
  }

  async nameOf({ identifiers }: Appraisal): Promise<string | undefined> {
    return identifiers['serial'];
  }

  async match(): Promise<readonly string[]> {
    return [];
  }

  async record(tx: Unit, _appraisal: Appraisal, _endpoint: unknown, decision: EvidenceDecision): Promise<void> {
    tx.onCommitted(() => this.decided.push(decision));
  }
}

function believe({ type, bytes }: Evidence): Appraisal {
  if (type !== FAKE_EVIDENCE) return appraisalWith({ verdict: 'refused', findings: ['unknown-evidence'] });
  return appraisalWith({ attestedPublicKey: parseSubjectPublicKeyInfo(bytes), identifiers: { serial: 'SN-1' } });
}
