import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../../core/x509/certification-request.ts';
import { octetsEqual } from '../../../core/x509/octets.ts';
import { type SubjectPublicKeyInfo, spkiSha256 } from '../../../core/x509/public-key.ts';
import type { TrustAnchor } from '../anchors.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import { keepAuthority, recallAuthority } from '../known-authorities.ts';
import type { AppraisalContext, EvidenceVerifier, Identifiers, VerifiedEvidence } from '../verifier.ts';
import {
  type AttestationElements,
  decodeAttestationElements,
  decodeNocsrElements,
  type NocsrElements,
  verifyElements,
} from './attestation-elements.ts';
import { checkMatterProfile, type MatterCertificate, readMatterCertificate } from './certificate-profile.ts';
import { type CertificationDeclaration, readCertificationDeclaration } from './certification-declaration.ts';
import { checkVendorAgreement, isIssuedBy, type MatterChain, verifyMatterChain } from './chain.ts';
import { checkDeclaration } from './declaration-rules.ts';
import { decodeMatterEvidence, type MatterEvidence, type SignedElements } from './evidence.ts';
import { isTestDeclarationSigner, isTestPaa } from './test-authorities.ts';
import { TlvError } from './tlv.ts';

/**
 * Verifies Matter device attestation (Matter Core Specification §6.2.3): the certificates of the device, that its DAC's key signed
 * in this session, and what it is certified as. The attested key is that of the CSR inside the NOCSR elements.
 */
export function matterVerifier(): EvidenceVerifier {
  return { types: ['matter-dac'], appraise: appraiseMatter };
}

async function appraiseMatter(bytes: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence> {
  const evidence = decodeMatterEvidence(bytes);
  const { chain, anchor } = verifiedChain(evidence, context);
  await refuseRevoked(chain, context);
  const { nocsr, attestation, requestedKey } = verifiedElements(evidence, chain.dac);
  const declared = declarationOf(attestation, anchor, chain, context);
  await checkFreshness(nocsr, attestation, context);
  return {
    attestedPublicKey: requestedKey,
    identifiers: identifiersOf(chain),
    claims: {
      'paa-key-id': chain.paa.subjectKeyId,
      ...attestationClaims(attestation),
      ...declarationClaims(declared.declaration),
    },
    findings: declared.findings,
  };
}

interface Anchored {
  readonly chain: MatterChain;
  readonly anchor: TrustAnchor<'paa'>;
}

function verifiedChain(evidence: MatterEvidence, context: AppraisalContext): Anchored {
  const pai = readMatterCertificate('pai', evidence.pai);
  const dac = readMatterCertificate('dac', evidence.dac);
  checkVendorAgreement({ dac, pai });
  const { paa, anchor } = findPaa(pai, context);
  const known = recallAuthority(anchor.certificate, pai.certificate);
  const chain = { dac, pai: { ...pai, certificate: known }, paa };
  verifyMatterChain(chain, context.now);
  keepAuthority(anchor.certificate, known);
  return { chain, anchor };
}

function findPaa(
  pai: MatterCertificate,
  context: AppraisalContext,
): { paa: MatterCertificate; anchor: TrustAnchor<'paa'> } {
  const named = context.anchors('paa').flatMap((anchor) => {
    const paa = checkedPaa(anchor);
    return paa !== undefined && paa.subjectKeyId === pai.authorityKeyId ? [{ paa, anchor }] : [];
  });
  // Key identifiers are what their certificates say: of several with one, the one whose key signed the PAI counts.
  const found = named.find(({ paa }) => isIssuedBy(pai, paa)) ?? named[0];
  if (found === undefined)
    throw new EvidenceFault('paa-unknown', `expected an anchor ${pai.authorityKeyId}, found none`);
  const { paa, anchor } = found;
  if (!context.policy.allowTestDevices && (anchor.settings.test || isTestPaa(anchor.certificate))) {
    throw new EvidenceFault('paa-test', `${anchor.name} (${paa.subjectKeyId})`);
  }
  checkVendorScope(paa, anchor, pai.vendorId!);
  return found;
}

/** Anchors stay the same objects while they are configured: the profile of each is checked once. Undefined: not within it. */
const paas = new WeakMap<TrustAnchor<'paa'>['certificate'], MatterCertificate | EvidenceFault>();

function checkedPaa({ certificate }: TrustAnchor<'paa'>): MatterCertificate | undefined {
  let paa = paas.get(certificate);
  if (paa === undefined) {
    paa = profiledOrFault(certificate);
    paas.set(certificate, paa);
  }
  if (paa instanceof EvidenceFault) return undefined;
  return paa;
}

function profiledOrFault(certificate: TrustAnchor<'paa'>['certificate']): MatterCertificate | EvidenceFault {
  try {
    return checkMatterProfile('paa', certificate);
  } catch (error) {
    if (error instanceof EvidenceFault) return error;
    throw error;
  }
}

function checkVendorScope(paa: MatterCertificate, { settings }: TrustAnchor<'paa'>, vendorId: string): void {
  const isOpen = paa.vendorId === undefined && settings.vendorIds.length === 0;
  if (isOpen || paa.vendorId === vendorId || settings.vendorIds.includes(vendorId)) return;
  const scope = [...new Set([...(paa.vendorId === undefined ? [] : [paa.vendorId]), ...settings.vendorIds])];
  throw new EvidenceFault('paa-vendor-scope', `expected ${scope.join(' or ')}, found ${vendorId}`);
}

async function refuseRevoked({ dac, pai }: MatterChain, context: AppraisalContext): Promise<void> {
  if (await context.isRevoked(pai.authorityKeyId!, pai.certificate.serialNumber)) {
    throw new EvidenceFault('pai-revoked', `serial number ${pai.certificate.serialNumber}`);
  }
  if (await context.isRevoked(dac.authorityKeyId!, dac.certificate.serialNumber)) {
    throw new EvidenceFault('dac-revoked', `serial number ${dac.certificate.serialNumber}`);
  }
}

interface VerifiedElements {
  readonly nocsr: NocsrElements;
  readonly attestation: AttestationElements | undefined;
  readonly requestedKey: SubjectPublicKeyInfo;
}

function verifiedElements(evidence: MatterEvidence, { certificate }: MatterCertificate): VerifiedElements {
  const { challenge, nocsr, attestation } = evidence;
  const signed = (elements: SignedElements): void => {
    if (verifyElements(certificate.publicKey, elements.elements, challenge, elements.signature)) return;
    throw new EvidenceFault(
      'dac-proof-invalid',
      'expected a signature by the DAC over elements and challenge, found another',
    );
  };
  signed(nocsr);
  if (attestation !== undefined) signed(attestation);
  const request = decodedElements(() => decodeNocsrElements(nocsr.elements));
  return {
    nocsr: request,
    attestation: attestation && decodedElements(() => decodeAttestationElements(attestation.elements)),
    requestedKey: keyOfRequest(request.csr),
  };
}

function decodedElements<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof TlvError) throw new EvidenceFault('dac-elements-malformed', error.message, { cause: error });
    throw error;
  }
}

function keyOfRequest(csr: Uint8Array): SubjectPublicKeyInfo {
  try {
    const request = parseCertificationRequest(csr);
    if (verifyCertificationRequest(request)) return request.publicKey;
    throw new EvidenceFault('dac-request-invalid', 'expected a request signed by its own key, found another signature');
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('dac-request-invalid', error.message, { cause: error });
    throw error;
  }
}

interface Declared {
  readonly declaration: CertificationDeclaration | undefined;
  readonly findings: readonly FindingCode[];
}

function declarationOf(
  attestation: AttestationElements | undefined,
  { settings, name }: TrustAnchor<'paa'>,
  chain: MatterChain,
  context: AppraisalContext,
): Declared {
  if (attestation === undefined) {
    if (settings.requireDeclaration) throw new EvidenceFault('cd-missing', `${name} asks for one`);
    return { declaration: undefined, findings: [] };
  }
  const signers = context.anchors('cd');
  if (signers.length === 0 && !settings.requireDeclaration)
    return { declaration: undefined, findings: ['cd-not-verified'] };
  const declaration = readCertificationDeclaration(
    attestation.certificationDeclaration,
    signers.map(({ certificate, settings: { test } }) => ({
      certificate,
      isTestKey: test || isTestDeclarationSigner(certificate),
    })),
    context.policy.allowTestDevices,
  );
  checkDeclaration(declaration, chain);
  return { declaration, findings: [] };
}

/**
 * The NOCSR is what binds the key, so its nonce is the one that counts. A commissioner that chose another for the attestation must
 * have got that from here, too: the elements would otherwise be those of any session of which somebody kept the challenge.
 */
async function checkFreshness(
  nocsr: NocsrElements,
  attestation: AttestationElements | undefined,
  context: AppraisalContext,
): Promise<void> {
  const { nonce } = context;
  if (nonce !== undefined && !octetsEqual(nocsr.nonce, nonce)) {
    throw new EvidenceFault('nonce-mismatch', 'the CSRNonce of the NOCSR elements is another');
  }
  const isOther = attestation !== undefined && !octetsEqual(attestation.nonce, nocsr.nonce);
  if (isOther && nonce !== undefined) throw new EvidenceFault('nonce-mismatch', 'the attestation_nonce is another');
  if (nonce === undefined && !(await context.takeNonce(nocsr.nonce)))
    throw new EvidenceFault('nonce-not-ours', 'CSRNonce');
  if (isOther && !(await context.takeNonce(attestation.nonce)))
    throw new EvidenceFault('nonce-not-ours', 'attestation_nonce');
}

function identifiersOf({ dac }: MatterChain): Identifiers {
  return {
    'idevid-sha256': spkiSha256(dac.certificate.publicKey),
    'vendor-id': dac.vendorId!,
    'product-id': dac.productId!,
  };
}

function attestationClaims(attestation: AttestationElements | undefined): VerifiedEvidence['claims'] {
  if (attestation === undefined) return {};
  return {
    'attestation-timestamp': attestation.timestamp,
    'has-firmware-information': attestation.firmwareInformation !== undefined,
  };
}

function declarationClaims(declaration: CertificationDeclaration | undefined): VerifiedEvidence['claims'] {
  if (declaration === undefined) return {};
  return {
    'certification-id': declaration.certificateId,
    'certification-type': declaration.certificationType,
    'certified-vendor-id': declaration.vendorId,
    'device-type-id': declaration.deviceTypeId,
    'security-level': declaration.securityLevel,
    'certification-version': declaration.versionNumber,
  };
}
