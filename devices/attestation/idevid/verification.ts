import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { basicConstraints, type Certificate, keyUsage, subjectAltName } from '../../../core/x509/certificate.ts';
import { findKeyWeakness } from '../../../core/x509/key-weakness.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { type HardwareModuleName, permanentIdentifierOf } from '../../../core/x509/other-name.ts';
import type { PathFailureReason } from '../../../core/x509/path-result.ts';
import { spkiSha256 } from '../../../core/x509/public-key.ts';
import type { TrustAnchor } from '../anchors.ts';
import { type DevicePath, findDevicePath } from '../device-path.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import type { Identifiers, VerifiedEvidence } from '../verifier.ts';
import { tpmPolicyClaims } from './certificate-policies.ts';
import { hardwareModuleNames } from './hardware-module.ts';
import { extractSerialNumber } from './serial-number.ts';

/** A device certificate under its manufacturer's anchor. */
export type IdevidPath = DevicePath<TrustAnchor<'idevid'>>;

/** What an IDevID says, with the path it rests on: for questions about revocation. */
export interface VerifiedIdevid {
  readonly evidence: VerifiedEvidence;
  readonly path: IdevidPath;
}

/** Certificates that may come with a device's, its own included. */
const MAX_CERTIFICATES = 8;
/** Shorter keys are broken, or will be within the life of the device. */
const MIN_RSA_BITS = 2048;

/**
 * Verifies a device identity certificate (IEEE 802.1AR §8) by the manufacturers' anchors: its path, its profile, and what it names.
 * Pure: nothing here asks whether it was revoked, or whether who shows it holds its key. Undefined where it leads to no anchor.
 *
 * @param chain the device's certificate first, then what came with it, in any order
 * @throws EvidenceFault `idevid-…` where it leads to one and is refused
 */
export function verifyIdevid(
  chain: readonly Certificate[],
  anchors: readonly TrustAnchor<'idevid'>[],
  now: Date,
): VerifiedIdevid | undefined {
  try {
    const path = pathOf(chain, anchors, now);
    return path === undefined ? undefined : { evidence: evidenceOf(chain[0]!, path), path };
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('idevid-malformed', error.message, { cause: error });
    throw error;
  }
}

const FAULTS: Partial<Record<PathFailureReason, FindingCode>> = {
  'bad-signature': 'idevid-signature-invalid',
  'weak-signature-algorithm': 'idevid-signature-weak',
  'not-yet-valid': 'idevid-not-yet-valid',
  expired: 'idevid-expired',
};

function pathOf(
  [device, ...others]: readonly Certificate[],
  anchors: readonly TrustAnchor<'idevid'>[],
  now: Date,
): IdevidPath | undefined {
  if (device === undefined || others.length >= MAX_CERTIFICATES) {
    throw new EvidenceFault('idevid-malformed', `expected 1 to ${MAX_CERTIFICATES} certificates`);
  }
  const found = findDevicePath([device, ...others], anchors, now, ({ settings }) => settings);
  if (found.ok) return found;
  if (found.reason === 'no-path') return undefined;
  throw new EvidenceFault(FAULTS[found.reason] ?? 'idevid-path-invalid', `${found.reason}: ${found.detail}`);
}

function evidenceOf(device: Certificate, { anchor, isExpired }: IdevidPath): VerifiedEvidence {
  checkProfile(device);
  const modules = hardwareModuleNames(device);
  checkHardwareTypes(modules, anchor);
  return {
    attestedPublicKey: undefined,
    identifiers: identifiersOf(device, modules, anchor),
    claims: tpmPolicyClaims(device),
    findings: isExpired ? ['idevid-expired'] : [],
  };
}

// IEEE 802.1AR §8.10 and RFC 8995 §2.3: neither keyUsage nor extendedKeyUsage has to be there.
function checkProfile(device: Certificate): void {
  if (device.version !== 3) throw profileFault('version 3', `${device.version}`);
  if (device.subject.rdns.length === 0) throw profileFault('a subject', 'an empty one');
  if (basicConstraints(device)?.cA === true) throw profileFault('a device', 'a CA');
  if (keyUsage(device)?.has('digitalSignature') === false) throw profileFault('keyUsage digitalSignature', 'others');
  const { algorithm } = device.publicKey;
  if (algorithm.kind === 'rsa' && algorithm.bits < MIN_RSA_BITS) {
    throw new EvidenceFault('idevid-key-weak', `expected at least ${MIN_RSA_BITS} bits, found ${algorithm.bits}`);
  }
  const weakness = findKeyWeakness(device.publicKey);
  if (weakness !== undefined) throw new EvidenceFault('idevid-key-weak', `${weakness.kind}: ${weakness.detail}`);
}

function checkHardwareTypes(modules: readonly HardwareModuleName[], { settings }: TrustAnchor<'idevid'>): void {
  const { hardwareTypes } = settings;
  if (hardwareTypes.length === 0) return;
  const foreign = modules.find(
    ({ hwType }) => !hardwareTypes.some((own) => hwType === own || hwType.startsWith(`${own}.`)),
  );
  if (foreign === undefined) return;
  throw new EvidenceFault(
    'idevid-hardware-type',
    `expected one below ${hardwareTypes.join(', ')}, found ${foreign.hwType}`,
  );
}

function identifiersOf(
  device: Certificate,
  modules: readonly HardwareModuleName[],
  { settings }: TrustAnchor<'idevid'>,
): Identifiers {
  const { serialNumber, model } = extractSerialNumber(settings.serialExtractor, device, modules);
  const [module, ...others] = modules;
  const permanent = permanentIdentifier(device);
  return {
    'serial-number': serialNumber,
    'idevid-sha256': spkiSha256(device.publicKey),
    ...(settings.manufacturer === '' ? {} : { manufacturer: settings.manufacturer }),
    ...(model === undefined ? {} : { model }),
    ...(module === undefined || others.length > 0
      ? {}
      : { 'hardware-module': `${module.hwType};${toHex(module.hwSerialNum)}` }),
    ...(permanent === undefined ? {} : { 'permanent-identifier': permanent }),
  };
}

/** RFC 4043 §2: the one PermanentIdentifier, `/` and its assigner behind it where it has one; of several none is the device's. */
function permanentIdentifier(device: Certificate): string | undefined {
  const values = subjectAltName(device).flatMap((name) => {
    const identifier = name.kind === 'otherName' ? permanentIdentifierOf(name.value) : undefined;
    if (identifier?.identifierValue === undefined) return [];
    const { identifierValue, assigner } = identifier;
    return [assigner === undefined ? identifierValue : `${identifierValue}/${assigner}`];
  });
  return values.length === 1 ? values[0] : undefined;
}

function profileFault(expected: string, found: string): EvidenceFault {
  return new EvidenceFault('idevid-profile', `expected ${expected}, found ${found}`);
}
