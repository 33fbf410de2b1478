import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import type { Certificate } from '../../../core/x509/certificate.ts';
import { findExtension } from '../../../core/x509/extensions.ts';
import { octetsEqual } from '../../../core/x509/octets.ts';
import type { AnchorSettings } from '../anchors.ts';
import { cborBytes, cborInteger, type CborMap } from '../cbor.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, Identifiers, VerifiedEvidence } from '../verifier.ts';
import { readingCbor, statementCertificates } from './attestation-object.ts';
import { decodeKeyDescription, KEY_DESCRIPTION_EXTENSION, type KeyDescription } from './key-description.ts';
import { statementPath } from './statement-path.ts';
import { verifyStatementSignature } from './statement-signature.ts';

/** KM_VERIFIED_BOOT_VERIFIED. */
const VERIFIED = 0;
/** Where Google's list of revoked attestation certificates, which names serial numbers alone, is imported to. */
const ANDROID_STATUS_LIST = 'android';

/**
 * Format `android-key`: the attestation chain of a key in an Android device's hardware, and that key's signature over the key
 * authorization, which is the attestation's challenge, too. @throws EvidenceFault
 */
export async function appraiseAndroidKey(
  statement: CborMap,
  keyAuthorization: Uint8Array,
  context: AppraisalContext,
): Promise<VerifiedEvidence> {
  const chain = statementCertificates(statement);
  const { alg, signature } = readingCbor(() => ({
    alg: cborInteger(statement.get('alg'), 'alg'),
    signature: cborBytes(statement.get('sig'), 'sig'),
  }));
  const path = await statementPath(chain, 'android', context);
  await refuseListed(path.chain, context);
  const description = descriptionOf(path.chain);
  const { publicKey } = chain[0];
  verifyStatementSignature(publicKey, alg, keyAuthorization, signature);
  if (!octetsEqual(description.challenge, keyAuthorization)) {
    throw new EvidenceFault('nonce-mismatch', 'expected the key authorization as attestationChallenge, found another');
  }
  checkHardware(description, path.anchor.settings);
  return {
    attestedPublicKey: publicKey,
    identifiers: identifiersOf(description),
    claims: claimsOf(description),
    findings: [],
  };
}

async function refuseListed(chain: readonly Certificate[], context: AppraisalContext): Promise<void> {
  for (const { serialNumber } of chain) {
    if (!(await context.isRevoked(ANDROID_STATUS_LIST, serialNumber))) continue;
    throw new EvidenceFault('acme-revoked', `serial number ${serialNumber} is in the status list`);
  }
}

/**
 * Whoever has an attested key can sign certificates with any extension below its own: the description nearest the root is the
 * hardware's. Where that is not the first certificate's, the key in question was attested by another key, not by the hardware.
 */
function descriptionOf(path: readonly Certificate[]): KeyDescription {
  const index = path.findLastIndex(
    ({ extensions }) => findExtension(extensions, KEY_DESCRIPTION_EXTENSION) !== undefined,
  );
  if (index < 0) throw new EvidenceFault('android-description-missing', 'expected a key description, found none');
  if (index > 0) throw new EvidenceFault('android-chain-extended', `the key description is ${index} above the key`);
  try {
    return decodeKeyDescription(findExtension(path[0]!.extensions, KEY_DESCRIPTION_EXTENSION)!.value);
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('acme-object-malformed', error.message, { cause: error });
    throw error;
  }
}

function checkHardware(description: KeyDescription, settings: AnchorSettings['android']): void {
  const { securityLevel, keyMintSecurityLevel, isGenerated, rootOfTrust } = description;
  const levels = settings.minimumSecurityLevel === 'strongbox' ? ['strongbox'] : ['trusted-environment', 'strongbox'];
  for (const level of [securityLevel, keyMintSecurityLevel]) {
    if (!levels.includes(level))
      throw new EvidenceFault('android-security-level', `expected ${levels.join(' or ')}, found ${level}`);
  }
  if (isGenerated !== true) throw new EvidenceFault('android-key-imported', 'expected origin generated, found another');
  const isVerified = rootOfTrust?.isLocked === true && rootOfTrust.verifiedBootState === VERIFIED;
  if (settings.requireVerifiedBoot && !isVerified) {
    throw new EvidenceFault('android-boot-unverified', `found state ${rootOfTrust?.verifiedBootState ?? 'none'}`);
  }
}

function identifiersOf({ serialNumber, manufacturer, model }: KeyDescription): Identifiers {
  if (serialNumber === undefined || serialNumber === '') {
    throw new EvidenceFault('acme-identifier-missing', 'expected attestationIdSerial enforced by hardware, found none');
  }
  return {
    'serial-number': serialNumber,
    ...(manufacturer === undefined ? {} : { manufacturer }),
    ...(model === undefined ? {} : { model }),
  };
}

function claimsOf({ securityLevel, osVersion, osPatchLevel }: KeyDescription): VerifiedEvidence['claims'] {
  return {
    'security-level': securityLevel,
    ...(osVersion === undefined ? {} : { 'os-version': osVersion }),
    ...(osPatchLevel === undefined ? {} : { 'os-patch-level': osPatchLevel }),
  };
}
