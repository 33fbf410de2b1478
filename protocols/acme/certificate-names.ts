import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import {
  type CertificationRequest,
  parseCertificationRequest,
  verifyCertificationRequestAsync,
} from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, encodeName, type Name, commonNames } from '../../core/x509/name.ts';
import { nameAttribute } from '../../core/x509/name-attributes.ts';
import { ATTRIBUTE_TYPE } from '../../core/x509/oids.ts';
import { generalNameOf, type Identifier, identifierName } from './identifier.ts';
import { AcmeProblem } from './problem.ts';

/**
 * Reads the CSR of finalize and holds it against the order (RFC 8555 §7.4): its common name and subjectAltName, of every kind,
 * are the order's identifiers as a set, neither more nor less (V3).
 * @throws AcmeProblem `badCSR`
 */
export async function requestFor(der: Uint8Array, identifiers: readonly Identifier[]): Promise<CertificationRequest> {
  const { csr, requested } = parse(der);
  const ordered = new Set(identifiers.map(identifierName));
  const foreign = [...requested].find((name) => !ordered.has(name));
  if (foreign !== undefined) throw badCsr(`the request holds ${foreign}, which is not in the order`);
  const missing = [...ordered].find((name) => !requested.has(name));
  if (missing !== undefined) throw badCsr(`the request lacks ${missing}, which is in the order`);
  if (!(await verifyCertificationRequestAsync(csr))) throw badCsr('the signature of the request does not verify');
  return csr;
}

/**
 * The subject of the certificate: the common name that was asked for, or the first DNS name where the endpoint wants one. Whatever
 * else the CSR's subject holds nobody has validated.
 */
export function subjectFor(
  csr: CertificationRequest,
  identifiers: readonly Identifier[],
  { commonName }: Pick<AcmeSettings, 'commonName'>,
): Name {
  const [asked] = commonNames(csr.subject);
  const first = identifiers.find(({ type, value }) => type === 'dns' && value.length <= MAX_COMMON_NAME)?.value;
  const name = asked?.toLowerCase() ?? (commonName === 'first-name' ? first : undefined);
  return name === undefined ? EMPTY_NAME : encodeName([[nameAttribute(ATTRIBUTE_TYPE.commonName, name)]]);
}

/** ub-common-name (RFC 5280 appendix A.1). */
const MAX_COMMON_NAME = 64;

/** @throws AcmeProblem `badCSR` for what does not decode, names included. */
function parse(der: Uint8Array): { readonly csr: CertificationRequest; readonly requested: ReadonlySet<string> } {
  try {
    const csr = parseCertificationRequest(der);
    return { csr, requested: namesOf(csr) };
  } catch (error) {
    if (error instanceof Asn1Error) throw badCsr(error.message);
    throw error;
  }
}

function namesOf(csr: CertificationRequest): ReadonlySet<string> {
  const names = EXTENSIONS.subjectAltName.find(csr.requestedExtensions) ?? [];
  // A common name is a DNS name or nothing: an address belongs into the subjectAltName (RFC 8738 §4).
  const subjects = commonNames(csr.subject).map((name) => `dns:${name.toLowerCase()}`);
  if (subjects.length > 1) throw badCsr('the subject holds two common names');
  return new Set([...subjects, ...names.map((name) => generalNameToText(name).toLowerCase())]);
}

/** The names of an order as the certificate holds them. */
export function subjectAltNamesOf(identifiers: readonly Identifier[]): ReturnType<typeof generalNameOf>[] {
  return identifiers.map(generalNameOf);
}

function badCsr(message: string): AcmeProblem {
  return new AcmeProblem('badCSR', message);
}
