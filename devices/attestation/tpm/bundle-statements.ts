import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import {
  ATTESTATION_STATEMENT,
  type AttestationStatement,
  decodeAttestationBundle,
  decodeTpmCertifyStatement,
  decodeTpmQuoteStatement,
  type TpmCertifyStatement,
  type TpmQuoteStatement,
} from '../../../core/x509/attestation-bundle.ts';
import { type Certificate, parseCertificate } from '../../../core/x509/certificate.ts';
import { EvidenceFault } from '../findings.ts';

/** What a TPM's bundle holds: one statement of a kind at most, and no other. */
export interface TpmBundle {
  readonly certify: TpmCertifyStatement | undefined;
  readonly quote: TpmQuoteStatement | undefined;
  readonly certificates: readonly Certificate[];
}

/**
 * Decodes an AttestationBundle of TPM statements.
 * @throws EvidenceFault `tpm-bundle`: not DER, a statement of another kind, or two of one
 */
export function parseTpmBundle(der: Uint8Array): TpmBundle {
  try {
    const { statements, certificates } = decodeAttestationBundle(der);
    const foreign = statements.find(({ type }) => type !== CERTIFY && type !== QUOTE);
    if (foreign !== undefined) throw new EvidenceFault('tpm-bundle', `a statement of type ${foreign.type}`);
    const certify = onlyOne(statements, CERTIFY);
    const quote = onlyOne(statements, QUOTE);
    return {
      certify: certify && decodeTpmCertifyStatement(certify.statement),
      quote: quote && decodeTpmQuoteStatement(quote.statement),
      certificates: certificates.map(parseCertificate),
    };
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('tpm-bundle', error.message, { cause: error });
    throw error;
  }
}

const CERTIFY = ATTESTATION_STATEMENT.tpmCertify;
const QUOTE = ATTESTATION_STATEMENT.tpmQuote;

function onlyOne(statements: readonly AttestationStatement[], type: string): AttestationStatement | undefined {
  const [first, second] = statements.filter((statement) => statement.type === type);
  if (second !== undefined) throw new EvidenceFault('tpm-bundle', `two statements of type ${type}`);
  return first;
}
