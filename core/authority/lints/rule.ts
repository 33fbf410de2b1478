import type { TbsCertificate } from '../../x509/certificate.ts';
import type { ProfileSettings } from '../profile.ts';

/** What a rule looks at: the certificate as its bytes decode, its issuer's, and the profile it was prepared from. */
export interface LintSubject {
  readonly tbs: TbsCertificate;
  readonly issuer: { readonly subjectDer: Uint8Array; readonly keyIdentifier: Uint8Array; readonly notAfter: Date };
  /** Absent for CA certificates, which come from a ceremony. */
  readonly profile: ProfileSettings | undefined;
}

/** One rule, with the sentence it enforces. */
export interface LintRule {
  /** Stable id: `rfc5280-serial-number`. */
  readonly id: string;
  /** Where the rule stands. */
  readonly source: string;
  /** What is wrong, lower case; `undefined` when nothing is. */
  check(subject: LintSubject): string | undefined;
}
