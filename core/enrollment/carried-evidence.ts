import { Asn1Error } from '../asn1/asn1-error.ts';
import { ATTESTATION_STATEMENT, attestationBundlesOf, decodeAttestationBundle } from '../x509/attestation-bundle.ts';
import type { RequestAttribute } from '../x509/certification-request.ts';
import type { Extension } from '../x509/extensions.ts';
import { EXTENSION } from '../x509/oids.ts';
import type { Evidence } from './request.ts';

/** Where a request may carry evidence. */
export interface EvidenceCarrier {
  /** Of PKCS #10; a CertTemplate has none. */
  readonly attributes?: readonly RequestAttribute[];
  /** Those of a CertTemplate, or of the extensionRequest of PKCS #10. */
  readonly requestedExtensions: readonly Extension[];
}

/** What stands for evidence that cannot be read: no verifier knows it, so it is refused, or flagged where refusals are only observed. */
const MALFORMED = 'malformed';

/**
 * The evidence that a request carries (draft-ietf-lamps-csr-attestation), for the gate; undefined where it carries none. `bytes` is
 * the AttestationBundle. Nothing is left out silently: a bundle with a statement of a type that is not known here is evidence
 * of that type (its dotted OID), and what cannot be read, or comes twice, is evidence of the type `malformed`.
 */
export function carriedEvidence(carrier: EvidenceCarrier): Evidence | undefined {
  const [bytes, another] = attestationBundlesOf(carrier.attributes ?? [], carrier.requestedExtensions);
  if (bytes === undefined) return undefined;
  const type = another === undefined ? evidenceType(bytes) : MALFORMED;
  return { type, bytes };
}

/** The extensions that a request asks for: evidence is shown to the gate, and goes into no certificate. */
export function withoutEvidence(extensions: readonly Extension[]): readonly Extension[] {
  return extensions.some(isEvidence) ? extensions.filter((extension) => !isEvidence(extension)) : extensions;
}

function isEvidence({ oid }: Extension): boolean {
  return oid === EXTENSION.attestation;
}

/** The one type of evidence that a bundle is. A quote beside a certified key is part of its evidence. */
function evidenceType(bundle: Uint8Array): string {
  const types = statementTypes(bundle);
  if (types === undefined) return MALFORMED;
  const foreign = types.find((type) => !TPM_STATEMENTS.has(type));
  if (foreign !== undefined) return foreign;
  return types.includes(ATTESTATION_STATEMENT.tpmCertify) ? 'tpm-certify' : 'tpm-quote';
}

const TPM_STATEMENTS: ReadonlySet<string> = new Set(Object.values(ATTESTATION_STATEMENT));

function statementTypes(bundle: Uint8Array): readonly string[] | undefined {
  try {
    return decodeAttestationBundle(bundle).statements.map(({ type }) => type);
  } catch (error) {
    if (error instanceof Asn1Error) return undefined;
    throw error;
  }
}
