import { InternalError, PolicyError } from '../errors/muster-error.ts';
import { keyIdentifier } from '../x509/public-key.ts';
import { parseTbsCertificate, type Certificate, type TbsCertificate } from '../x509/certificate.ts';
import { LINT_RULES } from './lints/rules.ts';
import type { ProfileSettings } from './profile.ts';

/** The issuer as lint and prepare see it: its certificate, or its own template where it signs itself. */
export type IssuerNames = Pick<Certificate, 'subject' | 'publicKey' | 'notAfter'>;

const madeHere = Symbol('linted');

/**
 * A TBSCertificate that passed every rule, and may be signed once. Only {@link lintCertificate} makes one, and only a
 * CaKey redeems one: "signed without linting" and "signed twice" cannot be written.
 */
export class Linted {
  readonly certificate: TbsCertificate;
  #redeemed = false;

  constructor(key: typeof madeHere, certificate: TbsCertificate) {
    if (key !== madeHere) throw new InternalError('only lint makes a linted certificate');
    this.certificate = certificate;
  }

  /** The bytes to sign; works once. */
  redeem(): Uint8Array {
    if (this.#redeemed) throw new InternalError('a linted certificate is signed once');
    this.#redeemed = true;
    return this.certificate.tbsDer;
  }
}

/**
 * Decodes a TBSCertificate and walks every rule over what it says (not over what was meant to be encoded).
 * `profile` is absent for CA certificates.
 * @throws PolicyError `lint-failed`, naming the rule and its finding.
 */
export function lintCertificate(tbsDer: Uint8Array, issuer: IssuerNames, profile: ProfileSettings | undefined): Linted {
  const tbs = parseTbsCertificate(tbsDer);
  const subject = {
    tbs,
    issuer: {
      subjectDer: issuer.subject.der,
      keyIdentifier: keyIdentifier(issuer.publicKey),
      notAfter: issuer.notAfter,
    },
    profile,
  };
  for (const rule of LINT_RULES) {
    const finding = rule.check(subject);
    if (finding !== undefined) throw new PolicyError('lint-failed', `${finding} (${rule.id}, ${rule.source})`);
  }
  return new Linted(madeHere, tbs);
}
