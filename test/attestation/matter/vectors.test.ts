import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../../core/x509/certificate.ts';
import { decodePem } from '../../../core/x509/pem.ts';
import { EvidenceFault, type FindingCode } from '../../../devices/attestation/findings.ts';
import { matterVerifier } from '../../../devices/attestation/matter/verifier.ts';
import type { VerifiedEvidence } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import { MatterDevice } from '../../fakes/matter-device.ts';

/**
 * Every vector of the Matter SDK that is in `test/fixtures/matter`, through the whole verifier: its private key makes the device's
 * answers. What is refused is refused for the reason the vector is about.
 */
const FOLDER = new URL('../../fixtures/matter/', import.meta.url);

/** All certificates of good cases are valid; of the pairs with past dates, the one that is not spoken of is valid as well. */
const NOW = new Date('2024-07-01T00:00:00Z');

const ACCEPTED = 'accepted';
const REASONS: Readonly<Record<string, readonly [FindingCode | typeof ACCEPTED, RegExp?]>> = {
  struct_cd_authorized_paa_list_count2_valid: [ACCEPTED],
  struct_cd_cms_signature: ['cd-signature-invalid'],
  struct_cd_format_version_2: ['cd-format-version', /found 2/],
  struct_cd_pid_array_count01_valid: [ACCEPTED],
  struct_cd_signer_info_skid_invalid: ['cd-signer-unknown'],
  struct_cd_vid_mismatch: ['cd-vendor-mismatch', /found FFF1/],
  struct_dac_cert_version_v2: ['dac-version'],
  struct_dac_ext_akid_missing: ['dac-key-identifiers', /2\.5\.29\.35, found none/],
  struct_dac_ext_basic_ca_missing: ['dac-basic-constraints', /pathLenConstraint none, found 0/],
  struct_dac_ext_basic_critical_missing: ['dac-basic-constraints', /critical/],
  struct_dac_ext_basic_missing: ['dac-basic-constraints', /2\.5\.29\.19, found none/],
  struct_dac_ext_basic_pathlen1: ['dac-basic-constraints', /pathLenConstraint none, found 1/],
  struct_dac_ext_basic_pathlen_presence_wrong: ['dac-basic-constraints', /pathLenConstraint none, found 0/],
  struct_dac_ext_key_usage_critical_missing: ['dac-key-usage', /critical/],
  struct_dac_ext_key_usage_crl_sign_wrong: ['dac-key-usage', /found cRLSign/],
  struct_dac_ext_key_usage_key_cert_sign_wrong: ['dac-key-usage', /found keyCertSign/],
  struct_dac_ext_skid_missing: ['dac-key-identifiers', /2\.5\.29\.14, found none/],
  struct_dac_fuzzed_akid_malformed: ['dac-malformed'],
  struct_dac_sig_algo_ecdsa_with_sha1: ['dac-signature-algorithm', /found ecdsa-with-SHA1/],
  struct_dac_sig_curve_prime256v1: [ACCEPTED],
  struct_dac_subject_vid_mismatch: ['dac-vendor-mismatch', /FFF1 of the PAI, found FFF2/],
  struct_dac_valid_in_past: ['dac-expired', /2022-06-28/],
  struct_dac_vidpid_fallback_encoding_02: [ACCEPTED],
  struct_dac_vidpid_fallback_encoding_04: [ACCEPTED],
  struct_dac_vidpid_fallback_encoding_06: ['dac-vendor-product', /Mvid:/],
  struct_dac_vidpid_fallback_encoding_08: ['dac-vendor-product', /Mpid:/],
  struct_dac_vidpid_fallback_encoding_12: ['dac-vendor-product', /Mvid:/],
  struct_dac_vidpid_fallback_encoding_18: [ACCEPTED],
  struct_pai_cert_version_v2: ['pai-version'],
  struct_pai_ext_akid_missing: ['pai-key-identifiers', /2\.5\.29\.35, found none/],
  struct_pai_ext_basic_ca_missing: ['pai-basic-constraints', /cA true, found false/],
  struct_pai_ext_basic_critical_missing: ['pai-basic-constraints', /critical/],
  struct_pai_ext_basic_missing: ['pai-basic-constraints', /2\.5\.29\.19, found none/],
  struct_pai_ext_basic_pathlen1: ['pai-basic-constraints', /pathLenConstraint 0, found 1/],
  struct_pai_ext_basic_pathlen_presence_wrong: ['pai-basic-constraints', /pathLenConstraint 0, found none/],
  struct_pai_ext_key_usage_critical_missing: ['pai-key-usage', /critical/],
  struct_pai_ext_key_usage_crl_sign_wrong: ['pai-key-usage', /expected cRLSign/],
  struct_pai_ext_key_usage_key_cert_sign_wrong: ['pai-key-usage', /expected keyCertSign/],
  struct_pai_ext_skid_missing: ['pai-key-identifiers', /2\.5\.29\.14, found none/],
  struct_pai_fuzzed_akid_malformed: ['pai-malformed'],
  struct_pai_sig_algo_ecdsa_with_sha1: ['pai-signature-algorithm', /found ecdsa-with-SHA1/],
  struct_pai_subject_vid_mismatch: ['paa-vendor-scope', /FFF1, found FFF2/],
  struct_pai_valid_in_past: ['pai-not-valid-at-issuance'],
  struct_pai_vidpid_fallback_encoding_02: [ACCEPTED],
  struct_pai_vidpid_fallback_encoding_04: [ACCEPTED],
  struct_pai_vidpid_fallback_encoding_06: ['pai-vendor-product', /Mvid:/],
  struct_pai_vidpid_fallback_encoding_08: ['pai-vendor-product', /Mpid:/],
  struct_pai_vidpid_fallback_encoding_10: ['pai-vendor-product', /Mvid:/],
  struct_pai_vidpid_fallback_encoding_12: ['pai-vendor-product', /Mvid:/],
  struct_pai_vidpid_fallback_encoding_14: ['pai-vendor-product', /Vendor ID, found none/],
  struct_pai_vidpid_fallback_encoding_18: [ACCEPTED],
};

interface Vector {
  readonly description: string;
  readonly is_success_case: 'true' | 'false';
  readonly dac_cert: string;
  readonly pai_cert: string;
  readonly certification_declaration: string;
  readonly dac_private_key: string;
  readonly dac_public_key: string;
}

const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length));

describe('vectors of the Matter SDK', () => {
  it('are all there, each with the reason it is about', () => {
    expect(NAMES.toSorted()).toEqual(Object.keys(REASONS).toSorted());
    expect(NAMES).toHaveLength(51);
  });

  it.each(NAMES)('%s', async (name) => {
    const vector = vectorOf(name);
    const [reason, detail] = REASONS[name]!;
    expect(vector.is_success_case).toBe(String(reason === ACCEPTED));
    const outcome = await verdictOf(vector);
    if (outcome instanceof EvidenceFault) {
      expect(outcome.code, outcome.detail).toBe(reason);
      if (detail !== undefined) expect(outcome.detail).toMatch(detail);
    } else {
      expect(ACCEPTED).toBe(reason);
      expect(outcome.identifiers).toMatchObject({ 'vendor-id': 'FFF1' });
      expect(outcome.findings).toEqual([]);
    }
  });

  it('tells the malformed key identifier once the other alterations of a fuzzed certificate are undone', async () => {
    for (const role of ['dac', 'pai'] as const) {
      const vector = vectorOf(`struct_${role}_fuzzed_akid_malformed`);
      const whole = vector[`${role}_cert`].replace(/00$/, '').replace('551d14', '551d13');
      const outcome = await verdictOf({ ...vector, [`${role}_cert`]: whole });
      expect(outcome).toMatchObject({
        code: `${role}-key-identifiers`,
        detail: 'expected a keyIdentifier of 20 octets, found none',
      });
    }
  });

  it('accepts none of them where test devices do not count', async () => {
    for (const name of NAMES.filter((one) => REASONS[one]![0] === ACCEPTED)) {
      expect(await verdictOf(vectorOf(name), false)).toMatchObject({ code: 'paa-test' });
    }
  });
});

async function verdictOf(vector: Vector, allowTestDevices = true): Promise<VerifiedEvidence | EvidenceFault> {
  const nonce = new Uint8Array(randomBytes(32));
  const device = new MatterDevice({
    dac: fromHex(vector.dac_cert),
    pai: fromHex(vector.pai_cert),
    dacKey: privateKeyOf(vector),
    declaration: fromHex(vector.certification_declaration),
  });
  const context = appraisalContext({
    type: 'matter-dac',
    now: NOW,
    issued: [nonce],
    policy: { allowTestDevices },
    anchors: [
      testAnchor('paa', certificateOf('Chip-Test-PAA-FFF1-Cert.pem')),
      testAnchor('paa', certificateOf('Chip-Test-PAA-NoVID-Cert.pem')),
      testAnchor('cd', certificateOf('Chip-Test-CD-Signing-Cert.pem')),
    ],
  });
  try {
    return await matterVerifier().appraise(device.evidence(nonce), context);
  } catch (error) {
    if (error instanceof EvidenceFault) return error;
    throw error;
  }
}

function vectorOf(name: string): Vector {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as Vector;
}

function certificateOf(name: string): ReturnType<typeof parseCertificate> {
  return parseCertificate(decodePem(readFileSync(new URL(name, FOLDER), 'utf8'))[0]!.der);
}

function privateKeyOf({ dac_private_key, dac_public_key }: Vector): KeyObject {
  const base64url = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');
  const point = dac_public_key.slice(2);
  return createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: base64url(dac_private_key),
      x: base64url(point.slice(0, 64)),
      y: base64url(point.slice(64)),
    },
  });
}

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
