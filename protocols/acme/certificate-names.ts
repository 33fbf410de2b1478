import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import {
  type CertificationRequest,
  parseCertificationRequest,
  verifyCertificationRequestAsync,
} from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { type GeneralName, generalNameKey, generalNameToText } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, encodeName, type Name, commonNames } from '../../core/x509/name.ts';
import { nameAttribute } from '../../core/x509/name-attributes.ts';
import { ATTRIBUTE_TYPE } from '../../core/x509/oids.ts';
import { deviceNameOf } from './device-identifier.ts';
import { generalNameOf, type Identifier, isOfDevice } from './identifier.ts';
import { AcmeProblem } from './problem.ts';

/**
 * Reads the CSR of finalize and holds it against the order (RFC 8555 §7.4): its common name and subjectAltName, of every kind,
 * are the order's identifiers as a set, neither more nor less (V3). What names the device it may leave out, and has to hold octet
 * for octet where it does not (draft-ietf-acme-device-attest §3 and §4).
 * @throws AcmeProblem `badCSR`
 */
export async function requestFor(der: Uint8Array, identifiers: readonly Identifier[]): Promise<CertificationRequest> {
  const { csr, requested } = parse(der, identifiers);
  const ordered = new Map(identifiers.map((identifier) => [nameKey(generalNameOf(identifier)), identifier]));
  const foreign = [...requested].find((name) => !ordered.has(name));
  if (foreign !== undefined) throw badCsr(`the request holds ${foreign}, which is not in the order`);
  const missing = [...ordered].find(([name, identifier]) => !requested.has(name) && !isOfDevice(identifier));
  if (missing !== undefined) throw badCsr(`the request lacks ${missing[0]}, which is in the order`);
  if (!(await verifyCertificationRequestAsync(csr))) throw badCsr('the signature of the request does not verify');
  return csr;
}

/** The identifiers of an order that the certificate is to hold: all, but for a device's that the CSR leaves out. */
export function certifiedIdentifiers(
  csr: CertificationRequest,
  identifiers: readonly Identifier[],
): readonly Identifier[] {
  const asked = new Set((EXTENSIONS.subjectAltName.find(csr.requestedExtensions) ?? []).map(nameKey));
  return identifiers.filter((identifier) => !isOfDevice(identifier) || asked.has(nameKey(generalNameOf(identifier))));
}

/**
 * The subject of the certificate: the common name that was asked for, or the first DNS name where the endpoint wants one, or what
 * the device is called where the certificate would else name nobody. Whatever else the CSR's subject holds nobody has validated.
 */
export function subjectFor(
  csr: CertificationRequest,
  identifiers: readonly Identifier[],
  { commonName }: Pick<AcmeSettings, 'commonName'>,
): Name {
  const [asked] = commonNames(csr.subject);
  const devices = identifiers.filter(isOfDevice).map(({ value }) => deviceNameOf(value));
  const wanted = asked !== undefined && devices.includes(asked) ? asked : asked?.toLowerCase();
  const name = wanted ?? (commonName === 'first-name' ? firstName(identifiers, devices) : undefined);
  return name === undefined ? EMPTY_NAME : encodeName([[nameAttribute(ATTRIBUTE_TYPE.commonName, name)]]);
}

function firstName(identifiers: readonly Identifier[], devices: readonly string[]): string | undefined {
  const hosts = identifiers.filter(({ type }) => type === 'dns').map(({ value }) => value);
  const candidates = identifiers.length === devices.length ? devices : hosts;
  return candidates.find((name) => name.length <= MAX_COMMON_NAME);
}

/** ub-common-name (RFC 5280 appendix A.1). */
const MAX_COMMON_NAME = 64;

/** @throws AcmeProblem `badCSR` for what does not decode, names included. */
function parse(
  der: Uint8Array,
  identifiers: readonly Identifier[],
): { readonly csr: CertificationRequest; readonly requested: ReadonlySet<string> } {
  try {
    const csr = parseCertificationRequest(der);
    return { csr, requested: namesOf(csr, identifiers) };
  } catch (error) {
    if (error instanceof Asn1Error) throw badCsr(error.message);
    throw error;
  }
}

function namesOf(csr: CertificationRequest, identifiers: readonly Identifier[]): ReadonlySet<string> {
  const names = (EXTENSIONS.subjectAltName.find(csr.requestedExtensions) ?? []).map(nameKey);
  const subjects = commonNames(csr.subject);
  if (subjects.length > 1) throw badCsr('the subject holds two common names');
  // A common name is a DNS name, or what the order calls the device: an address belongs into the subjectAltName (RFC 8738 §4).
  const devices = new Set(identifiers.filter(isOfDevice).map(({ value }) => deviceNameOf(value)));
  const hosts = subjects.filter((name) => !devices.has(name)).map((name) => `dns:${name.toLowerCase()}`);
  return new Set([...hosts, ...names]);
}

/** otherNames by their octets, as their texts say less. */
function nameKey(name: GeneralName): string {
  return name.kind === 'otherName' ? generalNameKey(name) : generalNameToText(name).toLowerCase();
}

/** The names of an order as the certificate holds them. */
export function subjectAltNamesOf(identifiers: readonly Identifier[]): ReturnType<typeof generalNameOf>[] {
  return identifiers.map(generalNameOf);
}

function badCsr(message: string): AcmeProblem {
  return new AcmeProblem('badCSR', message);
}
