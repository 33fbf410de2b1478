import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  type Certificate,
  keyUsage,
  parseCertificate,
  subjectKeyIdentifier,
} from '../../../core/x509/certificate.ts';
import { findExtension, type KeyUsageBit } from '../../../core/x509/extensions.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { EXTENSION } from '../../../core/x509/oids.ts';
import type { SignatureAlgorithm } from '../../../core/x509/signature-algorithm.ts';
import { EvidenceFault } from '../findings.ts';
import { VendorProductError, type VendorProduct, vendorProduct } from './vendor-product.ts';

/** Product Attestation Authority, Product Attestation Intermediate, Device Attestation Certificate. */
export type MatterRole = 'paa' | 'pai' | 'dac';

/** A certificate that keeps to the profile of its role, with what the rules between certificates need. */
export interface MatterCertificate extends VendorProduct {
  readonly certificate: Certificate;
  /** Lower-case hex, 20 octets. */
  readonly subjectKeyId: string;
  /** Lower-case hex, 20 octets; a PAA may have none. */
  readonly authorityKeyId: string | undefined;
}

/** What the Matter Core Specification §6.2.2.3-5 asks of each role. */
interface MatterProfile {
  readonly isAuthority: boolean;
  /** `pathLenConstraint` values allowed; undefined stands for absent. */
  readonly pathLengths: readonly (number | undefined)[];
  readonly keyUsage: { readonly required: readonly KeyUsageBit[]; readonly allowed: readonly KeyUsageBit[] };
  readonly needsAuthorityKeyId: boolean;
  readonly vendorId: 'optional' | 'required';
  readonly productId: 'forbidden' | 'optional' | 'required';
}

const AUTHORITY_USAGE = {
  required: ['keyCertSign', 'cRLSign'],
  allowed: ['keyCertSign', 'cRLSign', 'digitalSignature'],
} as const;

const PROFILES: Readonly<Record<MatterRole, MatterProfile>> = {
  paa: {
    isAuthority: true,
    pathLengths: [undefined, 1],
    keyUsage: AUTHORITY_USAGE,
    needsAuthorityKeyId: false,
    vendorId: 'optional',
    productId: 'forbidden',
  },
  pai: {
    isAuthority: true,
    pathLengths: [0],
    keyUsage: AUTHORITY_USAGE,
    needsAuthorityKeyId: true,
    vendorId: 'required',
    productId: 'optional',
  },
  dac: {
    isAuthority: false,
    pathLengths: [undefined],
    keyUsage: { required: ['digitalSignature'], allowed: ['digitalSignature'] },
    needsAuthorityKeyId: true,
    vendorId: 'required',
    productId: 'required',
  },
};

/** Octets of a certificate by elliptic curves; ML-DSA keys and signatures take thousands. */
const MAX_OCTETS = 600;
const MAX_ML_DSA_OCTETS = 16 * 1024;
const KEY_ID_OCTETS = 20;

/** Authorities may be of ML-DSA (profiles of 2026); a DAC signs with P-256, as the attestation signature is 64 octets. */
const SIGNATURE_ALGORITHMS: readonly SignatureAlgorithm[] = ['ecdsa-with-SHA256', 'ml-dsa-44', 'ml-dsa-65'];

/**
 * Reads a certificate and holds it against the profile of its role, rule by rule.
 * @throws EvidenceFault `<role>-malformed`, `-version`, `-signature-algorithm`, `-key`, `-basic-constraints`, `-key-usage`,
 * `-key-identifiers`, `-vendor-product`
 */
export function readMatterCertificate(role: MatterRole, der: Uint8Array): MatterCertificate {
  const certificate = parsed(role, der);
  return checkMatterProfile(role, certificate);
}

/** {@link readMatterCertificate} for a certificate that is read already. @throws EvidenceFault */
export function checkMatterProfile(role: MatterRole, certificate: Certificate): MatterCertificate {
  try {
    decodeExtensions(certificate);
    const profile = PROFILES[role];
    checkAlgorithms(role, certificate);
    checkBasicConstraints(role, profile, certificate);
    checkKeyUsage(role, profile, certificate);
    const keyIds = checkKeyIdentifiers(role, profile, certificate);
    return { certificate, ...keyIds, ...checkVendorProduct(role, profile, certificate) };
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault(`${role}-malformed`, error.message, { cause: error });
    throw error;
  }
}

function parsed(role: MatterRole, der: Uint8Array): Certificate {
  if (der.length > MAX_ML_DSA_OCTETS) {
    throw new EvidenceFault(`${role}-malformed`, `expected at most ${MAX_ML_DSA_OCTETS} octets, found ${der.length}`);
  }
  try {
    return parseCertificate(der);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new EvidenceFault(parsingFault(role, error), error.message, { cause: error });
  }
}

// Version, key and algorithm outside the lists of core/x509 are faults of the profile, not of the encoding.
function parsingFault(
  role: MatterRole,
  { path }: Asn1Error,
): `${MatterRole}-${'version' | 'key' | 'signature-algorithm' | 'malformed'}` {
  if (path.endsWith('TBSCertificate.version')) return `${role}-version`;
  if (path.includes('subjectPublicKeyInfo.')) return `${role}-key`;
  return path.endsWith('tbsCertificate.signature') ? `${role}-signature-algorithm` : `${role}-malformed`;
}

// All at once, so that a malformed extension is told as such and not as what it would have said.
function decodeExtensions(certificate: Certificate): void {
  authorityKeyIdentifier(certificate);
  subjectKeyIdentifier(certificate);
  basicConstraints(certificate);
  keyUsage(certificate);
}

function checkAlgorithms(role: MatterRole, { version, signatureAlgorithm, publicKey, der }: Certificate): void {
  if (version !== 3) throw new EvidenceFault(`${role}-version`, `expected version 3, found ${version}`);
  if (!SIGNATURE_ALGORITHMS.includes(signatureAlgorithm)) {
    throw new EvidenceFault(`${role}-signature-algorithm`, `expected ecdsa-with-SHA256, found ${signatureAlgorithm}`);
  }
  const { algorithm } = publicKey;
  const isP256 = algorithm.kind === 'ec' && algorithm.curve === 'P-256';
  const isMlDsa = role !== 'dac' && algorithm.kind === 'ml-dsa' && algorithm.parameterSet !== 87;
  if (!isP256 && !isMlDsa) throw new EvidenceFault(`${role}-key`, `expected a key on P-256, found ${algorithm.kind}`);
  if (isP256 && signatureAlgorithm === 'ecdsa-with-SHA256' && der.length > MAX_OCTETS) {
    throw new EvidenceFault(`${role}-malformed`, `expected at most ${MAX_OCTETS} octets, found ${der.length}`);
  }
}

function checkBasicConstraints(role: MatterRole, profile: MatterProfile, certificate: Certificate): void {
  const code = `${role}-basic-constraints` as const;
  requireCriticality(code, certificate, EXTENSION.basicConstraints, true);
  const { cA, pathLenConstraint } = basicConstraints(certificate)!;
  if (cA !== profile.isAuthority) throw new EvidenceFault(code, `expected cA ${profile.isAuthority}, found ${cA}`);
  if (profile.pathLengths.includes(pathLenConstraint)) return;
  const expected = profile.pathLengths.map((length) => length ?? 'none').join(' or ');
  throw new EvidenceFault(code, `expected pathLenConstraint ${expected}, found ${pathLenConstraint ?? 'none'}`);
}

function checkKeyUsage(role: MatterRole, { keyUsage: rule }: MatterProfile, certificate: Certificate): void {
  const code = `${role}-key-usage` as const;
  requireCriticality(code, certificate, EXTENSION.keyUsage, true);
  const found = keyUsage(certificate)!;
  const missing = rule.required.find((bit) => !found.has(bit));
  if (missing !== undefined)
    throw new EvidenceFault(code, `expected ${missing}, found ${[...found].join(', ') || 'none'}`);
  const excess = [...found].find((bit) => !rule.allowed.includes(bit));
  if (excess !== undefined) throw new EvidenceFault(code, `expected only ${rule.allowed.join(', ')}, found ${excess}`);
}

function checkKeyIdentifiers(
  role: MatterRole,
  profile: MatterProfile,
  certificate: Certificate,
): Pick<MatterCertificate, 'subjectKeyId' | 'authorityKeyId'> {
  const code = `${role}-key-identifiers` as const;
  requireCriticality(code, certificate, EXTENSION.subjectKeyIdentifier, false);
  const hasAuthority = findExtension(certificate.extensions, EXTENSION.authorityKeyIdentifier) !== undefined;
  if (profile.needsAuthorityKeyId || hasAuthority) {
    requireCriticality(code, certificate, EXTENSION.authorityKeyIdentifier, false);
  }
  const subject = subjectKeyIdentifier(certificate)!;
  const authority = authorityKeyIdentifier(certificate);
  if (subject.length !== KEY_ID_OCTETS) throw new EvidenceFault(code, `expected 20 octets, found ${subject.length}`);
  if (hasAuthority && authority?.length !== KEY_ID_OCTETS) {
    throw new EvidenceFault(code, `expected a keyIdentifier of 20 octets, found ${authority?.length ?? 'none'}`);
  }
  return { subjectKeyId: toHex(subject), authorityKeyId: authority === undefined ? undefined : toHex(authority) };
}

function checkVendorProduct(role: MatterRole, profile: MatterProfile, { subject }: Certificate): VendorProduct {
  const found = readVendorProduct(role, subject);
  if (profile.vendorId === 'required' && found.vendorId === undefined) {
    throw new EvidenceFault(`${role}-vendor-product`, 'expected a Vendor ID, found none');
  }
  if (profile.productId === 'required' && found.productId === undefined) {
    throw new EvidenceFault(`${role}-vendor-product`, 'expected a Product ID, found none');
  }
  if (profile.productId === 'forbidden' && found.productId !== undefined) {
    throw new EvidenceFault(`${role}-vendor-product`, `expected no Product ID, found ${found.productId}`);
  }
  return found;
}

function readVendorProduct(role: MatterRole, subject: Certificate['subject']): VendorProduct {
  try {
    return vendorProduct(subject);
  } catch (error) {
    if (!(error instanceof VendorProductError)) throw error;
    throw new EvidenceFault(`${role}-vendor-product`, error.message, { cause: error });
  }
}

type ProfileCode = `${MatterRole}-${'basic-constraints' | 'key-usage' | 'key-identifiers'}`;

function requireCriticality(code: ProfileCode, { extensions }: Certificate, oid: string, critical: boolean): void {
  const extension = findExtension(extensions, oid);
  if (extension === undefined) throw new EvidenceFault(code, `expected extension ${oid}, found none`);
  if (extension.critical === critical) return;
  throw new EvidenceFault(code, `expected ${oid} ${critical ? '' : 'not '}critical, found otherwise`);
}
