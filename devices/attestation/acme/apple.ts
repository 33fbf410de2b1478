import type { Certificate } from '../../../core/x509/certificate.ts';
import { findExtension } from '../../../core/x509/extensions.ts';
import { octetsEqual } from '../../../core/x509/octets.ts';
import type { CborMap } from '../cbor.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, Identifiers, VerifiedEvidence } from '../verifier.ts';
import { statementCertificates } from './attestation-object.ts';
import { tokenDigest } from './key-authorization.ts';
import { statementPath } from './statement-path.ts';

/** Extensions of a Managed Device Attestation certificate (Apple's device management documentation). */
const APPLE = {
  serialNumber: '1.2.840.113635.100.8.9.1',
  udid: '1.2.840.113635.100.8.9.2',
  softwareUpdateId: '1.2.840.113635.100.8.9.4',
  osVersion: '1.2.840.113635.100.8.10.1',
  sepOsVersion: '1.2.840.113635.100.8.10.2',
  llbVersion: '1.2.840.113635.100.8.10.3',
  freshness: '1.2.840.113635.100.8.11.1',
  systemIntegrityProtection: '1.2.840.113635.100.8.13.1',
  secureBoot: '1.2.840.113635.100.8.13.2',
  thirdPartyKernelExtensions: '1.2.840.113635.100.8.13.3',
} as const;

/** What becomes a claim, and how it is called there. */
const CLAIMS = {
  'software-update-id': APPLE.softwareUpdateId,
  'os-version': APPLE.osVersion,
  'sepos-version': APPLE.sepOsVersion,
  'llb-version': APPLE.llbVersion,
  'system-integrity-protection': APPLE.systemIntegrityProtection,
  'secure-boot': APPLE.secureBoot,
  'third-party-kernel-extensions': APPLE.thirdPartyKernelExtensions,
} as const;

const DIGEST_OCTETS = 32;
/** OCTET STRING, UTF8String, PrintableString, IA5String: what a value may be wrapped in, though in the field it is bare. */
const WRAPPERS: ReadonlySet<number | undefined> = new Set([0x04, 0x0c, 0x13, 0x16]);
const MAX_TEXT_OCTETS = 128;

/**
 * Format `apple`: Apple's certificate for a key of the Secure Enclave, fresh for SHA-256 of the challenge's token, naming serial
 * number and UDID save under User Enrollment. The attested key is the certificate's. A certificate without the freshness
 * extension says nothing of when it was made, and is refused. @throws EvidenceFault
 */
export async function appraiseApple(
  statement: CborMap,
  keyAuthorization: Uint8Array,
  context: AppraisalContext,
): Promise<VerifiedEvidence> {
  const chain = statementCertificates(statement);
  await statementPath(chain, 'apple', context);
  const [device] = chain;
  checkFreshness(device, tokenDigest(keyAuthorization));
  return {
    attestedPublicKey: device.publicKey,
    identifiers: identifiersOf(device),
    claims: Object.fromEntries(
      Object.entries(CLAIMS).flatMap(([claim, oid]) => {
        const value = textOf(device, oid);
        return value === undefined ? [] : [[claim, value]];
      }),
    ),
    findings: [],
  };
}

function checkFreshness({ extensions }: Certificate, expected: Uint8Array): void {
  const found = findExtension(extensions, APPLE.freshness)?.value;
  if (found === undefined) throw new EvidenceFault('nonce-missing', 'expected the freshness extension, found none');
  const nonce = found.length === DIGEST_OCTETS ? found : unwrapped(found);
  if (!octetsEqual(nonce, expected))
    throw new EvidenceFault('nonce-mismatch', 'expected SHA-256 of the token, found another');
}

function identifiersOf(device: Certificate): Identifiers {
  const serialNumber = textOf(device, APPLE.serialNumber);
  const udid = textOf(device, APPLE.udid);
  if (serialNumber === undefined && udid === undefined) {
    throw new EvidenceFault('acme-identifier-missing', 'expected a serial number or UDID, found neither');
  }
  return {
    manufacturer: 'Apple',
    ...(serialNumber === undefined ? {} : { 'serial-number': serialNumber }),
    ...(udid === undefined ? {} : { 'permanent-identifier': udid }),
  };
}

function textOf({ extensions }: Certificate, oid: string): string | undefined {
  const value = findExtension(extensions, oid)?.value;
  if (value === undefined) return undefined;
  const text = unwrapped(value);
  const isPrintable =
    text.length > 0 && text.length <= MAX_TEXT_OCTETS && text.every((octet) => octet >= 0x20 && octet < 0x7f);
  if (isPrintable) return Buffer.from(text).toString('latin1');
  throw new EvidenceFault('acme-object-malformed', `expected printable text in extension ${oid}, found other octets`);
}

function unwrapped(value: Uint8Array): Uint8Array {
  return WRAPPERS.has(value[0]) && value[1] === value.length - 2 ? value.subarray(2) : value;
}
