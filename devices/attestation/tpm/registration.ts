import { toHex } from '../../../core/x509/octets.ts';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { EvidenceFault } from '../findings.ts';
import type { Identifiers, VerifiedEvidence } from '../verifier.ts';
import type { EkContext } from './ek-certificate.ts';
import { ekUri } from './ek-uri.ts';
import { trustedEk, type TrustedEk } from './endorsement.ts';
import { selfAttestedCreation } from './key-certification.ts';
import { checkAttestationKey } from './key-rules.ts';
import { objectName } from './names.ts';
import { parsedStructure } from './parsed-structure.ts';
import { parsePublicArea } from './public-area.ts';
import { tpmClaims } from './tpm-claims.ts';
import { tpmPublicKey } from './tpm-public-key.ts';

/** What a device says of a new attestation key, as it came; nothing of it is trusted. */
export interface AttestationKeyRegistration {
  /** SubjectPublicKeyInfo of the endorsement key, DER; that of the first certificate where it is absent. */
  readonly endorsementKey?: Uint8Array | undefined;
  /** EK certificates and those of their CAs, DER or as read from NV. */
  readonly endorsementCertificates: readonly Uint8Array[];
  /** TPMT_PUBLIC of the endorsement key. */
  readonly endorsementPublicArea?: Uint8Array | undefined;
  /** TPMT_PUBLIC of the attestation key. */
  readonly publicArea: Uint8Array;
  /** TPMS_CREATION_DATA, TPMS_ATTEST and TPMT_SIGNATURE of TPM2_CertifyCreation by the key of itself: all three or none. */
  readonly creationData?: Uint8Array | undefined;
  readonly creationAttest?: Uint8Array | undefined;
  readonly creationSignature?: Uint8Array | undefined;
}

/** An attestation key that is right by its looks, beside a trusted EK: that both are in one TPM is still to be shown. */
export interface JudgedRegistration {
  readonly ek: TrustedEk;
  /** TPM Name of the attestation key. */
  readonly name: Uint8Array;
  /** Its Qualified Name, where its creation was attested. */
  readonly qualifiedName: Uint8Array | undefined;
  readonly publicKey: SubjectPublicKeyInfo;
  readonly identifiers: Identifiers;
  readonly claims: VerifiedEvidence['claims'];
}

/**
 * Judges a registration.
 * @throws EvidenceFault `ak-…`, `ek-…`, `tpm-…`
 */
export async function judgeRegistration(
  registration: AttestationKeyRegistration,
  context: EkContext,
): Promise<JudgedRegistration> {
  const area = parsedStructure(() => parsePublicArea(registration.publicArea));
  checkAttestationKey(area);
  const publicKey = tpmPublicKey(area);
  const { endorsementKey, endorsementCertificates: certificates, endorsementPublicArea } = registration;
  const ek = await trustedEk({ publicKey: endorsementKey, certificates, publicArea: endorsementPublicArea }, context);
  const creation = creationOf(registration);
  return {
    ek,
    name: objectName(area),
    qualifiedName: creation && selfAttestedCreation({ area, ...creation }),
    publicKey,
    identifiers: { 'ek-sha256': ek.sha256, 'permanent-identifier': ekUri(ek.sha256) },
    claims: { ...tpmClaims(ek.identity), 'ek-certified': ek.identity !== undefined, ...notices(ek) },
  };
}

/** What was noticed about the EK goes with its attestation key from then on. */
function notices({ findings }: TrustedEk): Readonly<Record<string, string>> {
  return findings.length === 0 ? {} : { 'ek-findings': findings.join(' ') };
}

function creationOf({ creationData, creationAttest, creationSignature }: AttestationKeyRegistration) {
  if (creationData === undefined && creationAttest === undefined && creationSignature === undefined) return undefined;
  if (creationData === undefined || creationAttest === undefined || creationSignature === undefined) {
    throw new EvidenceFault('tpm-creation-mismatch', 'creation data, attestation and signature go together');
  }
  return { creationData, attest: creationAttest, signature: creationSignature };
}

/** Lower-case hex of the names of a registration, as they are stored. */
export function storedNames({ name, qualifiedName }: Pick<JudgedRegistration, 'name' | 'qualifiedName'>) {
  return { name: toHex(name), qualified_name: qualifiedName === undefined ? null : toHex(qualifiedName) };
}
