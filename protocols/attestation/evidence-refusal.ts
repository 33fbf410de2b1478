import { PolicyError } from '../../core/errors/muster-error.ts';

/** Evidence was appraised and did not convince: its codes go to the device, in the order the gate named them. */
export class EvidenceRefusal extends PolicyError {
  readonly findings: readonly string[];

  constructor(findings: readonly string[], details?: { readonly cause: unknown }) {
    super('evidence-refused', `attestation refused: ${findings.join(', ')}`, details);
    this.findings = findings;
  }
}
