import { hash, type KeyObject, sign } from 'node:crypto';
import { encode as encodeCbor } from 'cborg';
import { encode } from '../../core/asn1/codec.ts';
import {
  boolean,
  enumerated,
  explicit,
  integer,
  octetString,
  optional,
  sequence,
  utf8String,
} from '../../core/asn1/schema.ts';
import type { Extension } from '../../core/x509/extensions.ts';
import type { SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import {
  type CertificateOptions,
  type IssuedCertificate,
  publicKeyOf,
  signWith,
  TestAuthority,
} from '../support/test-pki.ts';

/** Attestation objects of device-attest-01 as Apple's, Android's and Smallstep's clients make them, each by a vendor of its own. */

/** An attestation object: CBOR of `fmt` and `attStmt`. */
export function attestationObject(format: string, statement: Readonly<Record<string, unknown>>): Uint8Array {
  return encodeCbor({ fmt: format, attStmt: statement });
}

/** A vendor's root and intermediate, and what it certifies. */
export class AttestationVendor {
  readonly root: TestAuthority;
  readonly intermediate: TestAuthority;

  constructor(name: string) {
    this.root = TestAuthority.root({ name: `CN=${name} Attestation Root` });
    this.intermediate = this.root.intermediate({ name: `CN=${name} Attestation CA`, pathLength: 1 });
  }

  /** `x5c` of a certificate below the intermediate. */
  chainOf(device: IssuedCertificate): readonly Uint8Array[] {
    return [device.der, this.intermediate.der];
  }
}

/** COSE numbers of signature algorithms. */
const COSE: Partial<Record<SignatureAlgorithm, number>> = {
  'ecdsa-with-SHA256': -7,
  'ecdsa-with-SHA384': -35,
  'ecdsa-with-SHA512': -36,
  ed25519: -8,
  sha256WithRSAEncryption: -257,
};

function signed(key: KeyObject, octets: Uint8Array): { alg: number; sig: Uint8Array } {
  const algorithm = defaultSignatureAlgorithm(publicKeyOf(key).algorithm);
  return { alg: COSE[algorithm]!, sig: signWith(key, algorithm, octets) };
}

/** Format `step`, of a YubiKey: its serial number as INTEGER in Yubico's extension. */
export function yubikeyCertificate(
  vendor: AttestationVendor,
  serialNumber: number,
  options: CertificateOptions = {},
): IssuedCertificate {
  const value = encode(integer, BigInt(serialNumber));
  return vendor.intermediate.leaf({
    subject: 'CN=YubiKey PIV Attestation 9a',
    extensions: [{ oid: '1.3.6.1.4.1.41482.3.7', critical: false, value }],
    ...options,
  });
}

/** Format `step`, of a managed device: its identifier in Smallstep's extension. */
export function managedDeviceCertificate(vendor: AttestationVendor, deviceId: string): IssuedCertificate {
  const value = encode(sequence('StepManagedDevice', { deviceId: utf8String }), { deviceId });
  return vendor.intermediate.leaf({ extensions: [{ oid: '1.3.6.1.4.1.37476.9000.64.4', critical: false, value }] });
}

/** The statement of format `step`; `sig` is CBOR within CBOR. */
export function stepStatement(
  vendor: AttestationVendor,
  device: IssuedCertificate,
  keyAuthorization: string,
  key: KeyObject = device.privateKey,
): Readonly<Record<string, unknown>> {
  const { alg, sig } = signed(key, Buffer.from(keyAuthorization));
  return { alg, sig: encodeCbor(sig), x5c: vendor.chainOf(device) };
}

/** What an Apple device is attested as; a member that is undefined is left out. */
export interface AppleDevice {
  readonly serialNumber?: string | undefined;
  readonly udid?: string | undefined;
  /** Of the challenge. */
  readonly token?: string | undefined;
  readonly osVersion?: string;
  /** Whether values stand in an OCTET STRING, as some readers expect; in the field they are bare. */
  readonly wrapped?: boolean;
}

/** A certificate of Managed Device Attestation. */
export function appleCertificate(vendor: AttestationVendor, device: AppleDevice): IssuedCertificate {
  const bare = (value: Uint8Array): Uint8Array => (device.wrapped === true ? encode(octetString, value) : value);
  const extension = (oid: string, value: Uint8Array | undefined): Extension[] =>
    value === undefined ? [] : [{ oid: `1.2.840.113635.100.8.${oid}`, critical: false, value: bare(value) }];
  const text = (value: string | undefined): Uint8Array | undefined =>
    value === undefined ? undefined : Buffer.from(value);
  return vendor.intermediate.leaf({
    subject: 'CN=hashed serial number',
    key: 'ec-p384',
    extensions: [
      ...extension('9.1', text(device.serialNumber)),
      ...extension('9.2', text(device.udid)),
      ...extension('10.1', text(device.osVersion ?? '18.1')),
      ...extension('11.1', device.token === undefined ? undefined : hash('sha256', device.token, 'buffer')),
    ],
  });
}

/** What an Android device says of a key. */
export interface AndroidKey {
  readonly challenge: Uint8Array;
  /** 0 software, 1 trusted environment, 2 StrongBox. */
  readonly securityLevel?: number;
  readonly keyMintSecurityLevel?: number;
  /** 0 generated. */
  readonly origin?: number;
  readonly locked?: boolean;
  /** 0 verified. */
  readonly bootState?: number;
  readonly serialNumber?: string | undefined;
  /** Whether the serial number is only what the system says. */
  readonly inSoftware?: boolean;
}

const rootOfTrust = sequence('RootOfTrust', {
  verifiedBootKey: octetString,
  deviceLocked: boolean,
  verifiedBootState: enumerated,
  verifiedBootHash: octetString,
});
const authorizationList = sequence('AuthorizationList', {
  origin: optional(explicit(702, integer)),
  rootOfTrust: optional(explicit(704, rootOfTrust)),
  osVersion: optional(explicit(705, integer)),
  osPatchLevel: optional(explicit(706, integer)),
  serial: optional(explicit(713, octetString)),
  manufacturer: optional(explicit(716, octetString)),
  model: optional(explicit(717, octetString)),
});
const keyDescription = sequence('KeyDescription', {
  attestationVersion: integer,
  attestationSecurityLevel: enumerated,
  keyMintVersion: integer,
  keyMintSecurityLevel: enumerated,
  attestationChallenge: octetString,
  uniqueId: octetString,
  softwareEnforced: authorizationList,
  hardwareEnforced: authorizationList,
});

/** The extension that holds a KeyDescription. */
export function keyDescriptionExtension(key: AndroidKey): Extension {
  const { securityLevel = 1, keyMintSecurityLevel = securityLevel, origin = 0, locked = true, bootState = 0 } = key;
  const serial = key.serialNumber === undefined ? undefined : Buffer.from(key.serialNumber);
  const value = encode(keyDescription, {
    attestationVersion: 300n,
    attestationSecurityLevel: securityLevel,
    keyMintVersion: 300n,
    keyMintSecurityLevel,
    attestationChallenge: key.challenge,
    uniqueId: new Uint8Array(),
    softwareEnforced: key.inSoftware === true ? { serial } : {},
    hardwareEnforced: {
      origin: BigInt(origin),
      rootOfTrust: {
        verifiedBootKey: new Uint8Array(32),
        deviceLocked: locked,
        verifiedBootState: bootState,
        verifiedBootHash: new Uint8Array(32),
      },
      osVersion: 150_000n,
      osPatchLevel: 202_611n,
      ...(key.inSoftware === true ? {} : { serial }),
      manufacturer: Buffer.from('Example'),
      model: Buffer.from('Phone 1'),
    },
  });
  return { oid: '1.3.6.1.4.1.11129.2.1.17', critical: false, value };
}

/** The certificate of a key in an Android device's hardware. */
export function androidCertificate(
  vendor: AttestationVendor,
  key: AndroidKey,
  options: CertificateOptions = {},
): IssuedCertificate {
  return vendor.intermediate.leaf({
    subject: 'CN=Android Keystore Key',
    extensions: [keyDescriptionExtension(key)],
    ...options,
  });
}

/** The statement of format `android-key`. */
export function androidStatement(
  vendor: AttestationVendor,
  device: IssuedCertificate,
  keyAuthorization: string,
  key: KeyObject = device.privateKey,
): Readonly<Record<string, unknown>> {
  return { ...signed(key, Buffer.from(keyAuthorization)), x5c: vendor.chainOf(device) };
}

/** r ‖ s, as COSE has it and X.509 does not. */
export function rawEcdsa(key: KeyObject, octets: Uint8Array): Uint8Array {
  return new Uint8Array(sign('sha256', octets, { key, dsaEncoding: 'ieee-p1363' }));
}
