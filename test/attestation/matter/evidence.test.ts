import { randomBytes } from 'node:crypto';
import { encode } from 'cborg';
import { beforeAll, describe, expect, it } from 'vitest';
import { EvidenceFault } from '../../../devices/attestation/findings.ts';
import { matterVerifier } from '../../../devices/attestation/matter/verifier.ts';
import type { VerifiedEvidence } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, type ContextOptions, testAnchor } from '../../fakes/appraisal-context.ts';
import { type DeclarationFields, declarationContent, signDeclaration } from '../../fakes/matter-declaration.ts';
import { type EvidenceMembers, type MatterDevice, MatterVendor } from '../../fakes/matter-device.ts';
import { tlvOctets, tlvStructure, tlvUnsigned } from '../../fakes/matter-tlv.ts';
import { makeCsr, makeKey, publicKeyOf } from '../../support/test-pki.ts';

let vendor: MatterVendor;
let device: MatterDevice;
const nonce = new Uint8Array(randomBytes(32));

beforeAll(() => {
  vendor = new MatterVendor();
  device = vendor.device();
});

describe('Matter evidence', () => {
  it('attests the key of the CSR that the device was asked for', async () => {
    const { attestedPublicKey, identifiers, claims, findings } = await affirmed(device.evidence(nonce));
    expect(attestedPublicKey!.der).toEqual(publicKeyOf(device.operationalKey).der);
    expect(Object.keys(identifiers)).toEqual(['idevid-sha256', 'vendor-id', 'product-id']);
    expect(claims).toMatchObject({ 'certification-type': 'official', 'device-type-id': 256 });
    expect(findings).toEqual([]);
  });

  it('does without attestation elements where the PAA asks for no declaration', async () => {
    const bytes = device.evidence(nonce, without('elements', 'elementsSignature'));
    expect((await affirmed(bytes)).claims).not.toHaveProperty('certification-type');
    expect(await refused(bytes, { requireDeclaration: true })).toMatchObject({ code: 'cd-missing' });
  });

  it('says where a declaration came that nobody verified', async () => {
    const context = contextOf({ anchors: [testAnchor('paa', vendor.paa.certificate!)] });
    const { findings, claims } = await matterVerifier().appraise(device.evidence(nonce), context);
    expect(findings).toEqual(['cd-not-verified']);
    expect(claims).not.toHaveProperty('certification-type');
    const asking = contextOf({ anchors: [testAnchor('paa', vendor.paa.certificate!, { requireDeclaration: true })] });
    await expect(matterVerifier().appraise(device.evidence(nonce), asking)).rejects.toMatchObject({
      code: 'cd-signer-unknown',
    });
  });

  it.each<[string, (members: EvidenceMembers) => object]>([
    ['a member too many', (members) => ({ ...members, extra: new Uint8Array() })],
    ['no challenge', without('challenge')],
    ['a challenge of another size', (members) => ({ ...members, challenge: new Uint8Array(32) })],
    ['elements without signature', without('elementsSignature')],
    ['a signature without elements', without('elements')],
    ['text for octets', (members) => ({ ...members, dac: 'x' })],
    ['another item', () => [1]],
  ])('is refused with %s', async (_, change) => {
    expect(await refused(device.evidence(nonce, change))).toMatchObject({ code: 'dac-evidence-malformed' });
  });

  it.each(['nocsr', 'elements'] as const)(
    'is refused where the device did not sign %s in this session',
    async (which) => {
      const signature = `${which}Signature` as const;
      const flipped = (members: EvidenceMembers): object => {
        const altered = Uint8Array.from(members[signature]);
        altered[40]! ^= 1;
        return { ...members, [signature]: altered };
      };
      expect(await refused(device.evidence(nonce, flipped))).toMatchObject({ code: 'dac-proof-invalid' });
      const otherSession = (members: EvidenceMembers): object => ({
        ...members,
        challenge: new Uint8Array(randomBytes(16)),
      });
      expect(await refused(device.evidence(nonce, otherSession))).toMatchObject({ code: 'dac-proof-invalid' });
      const short = (members: EvidenceMembers): object => ({ ...members, [signature]: members[signature].subarray(1) });
      expect(await refused(device.evidence(nonce, short))).toMatchObject({ code: 'dac-proof-invalid' });
    },
  );

  it('is refused where another device of the vendor signed', async () => {
    const other = vendor.device();
    const bytes = other.evidence(nonce, (members) => ({ ...members, dac: device.dac }));
    expect(await refused(bytes)).toMatchObject({ code: 'dac-proof-invalid' });
  });

  it.each<[string, (csr: Uint8Array) => Uint8Array, string]>([
    ['no TLV', () => new Uint8Array(10), 'dac-elements-malformed'],
    ['no CSR', () => tlvStructure(tlvOctets(2, nonce)), 'dac-elements-malformed'],
    [
      'a short nonce',
      (csr) => tlvStructure(tlvOctets(1, csr), tlvOctets(2, nonce.subarray(1))),
      'dac-elements-malformed',
    ],
    [
      'more than 900 octets',
      (csr) => tlvStructure(tlvOctets(1, csr), tlvOctets(2, nonce), tlvOctets(3, new Uint8Array(700))),
      'dac-elements-malformed',
    ],
    [
      'a CSR that is none',
      () => tlvStructure(tlvOctets(1, new Uint8Array(20)), tlvOctets(2, nonce)),
      'dac-request-invalid',
    ],
    [
      'a CSR signed by another key',
      () => tlvStructure(tlvOctets(1, forgedCsr()), tlvOctets(2, nonce)),
      'dac-request-invalid',
    ],
  ])('is refused with NOCSR elements that hold %s', async (_, elementsOf, code) => {
    const challenge = new Uint8Array(16);
    const { csr } = device.requestCertificate(nonce, challenge);
    const nocsr = new Uint8Array(elementsOf(csr));
    const bytes = encode({
      dac: device.dac,
      pai: device.pai,
      challenge,
      nocsr,
      nocsrSignature: device.signElements(nocsr, challenge),
    });
    expect(await refused(bytes)).toMatchObject({ code });
  });

  it('is refused with attestation elements that are not of their form', async () => {
    const challenge = new Uint8Array(16);
    const elements = new Uint8Array(tlvStructure(tlvOctets(2, nonce), tlvUnsigned(3, 0)));
    const nocsr = device.requestCertificate(nonce, challenge);
    const bytes = encode({
      dac: device.dac,
      pai: device.pai,
      challenge,
      nocsr: nocsr.elements,
      nocsrSignature: nocsr.signature,
      elements,
      elementsSignature: device.signElements(elements, challenge),
    });
    expect(await refused(bytes)).toMatchObject({ code: 'dac-elements-malformed' });
  });
});

describe('freshness of Matter evidence', () => {
  it('comes from a nonce issued here, once', async () => {
    const context = contextOf();
    await matterVerifier().appraise(device.evidence(nonce), context);
    await expect(matterVerifier().appraise(device.evidence(nonce), context)).rejects.toMatchObject({
      code: 'nonce-not-ours',
    });
  });

  it('or from the nonce that the carrier expects', async () => {
    const expected = new Uint8Array(randomBytes(32));
    await expect(
      matterVerifier().appraise(device.evidence(expected), contextOf({ nonce: expected })),
    ).resolves.toBeDefined();
    await expect(
      matterVerifier().appraise(device.evidence(nonce), contextOf({ nonce: expected })),
    ).rejects.toMatchObject({ code: 'nonce-mismatch' });
  });

  it('holds for attestation elements with a nonce of their own', async () => {
    const second = new Uint8Array(randomBytes(32));
    const bytes = mixed(second);
    await expect(matterVerifier().appraise(bytes, contextOf({ issued: [nonce] }))).rejects.toMatchObject({
      code: 'nonce-not-ours',
      detail: 'attestation_nonce',
    });
    await expect(matterVerifier().appraise(bytes, contextOf({ issued: [nonce, second] }))).resolves.toBeDefined();
    await expect(matterVerifier().appraise(bytes, contextOf({ nonce }))).rejects.toMatchObject({
      code: 'nonce-mismatch',
    });
  });

  it('takes no nonce for evidence that is refused', async () => {
    const context = contextOf();
    const bad = device.evidence(nonce, (members) => ({ ...members, nocsrSignature: new Uint8Array(64) }));
    await expect(matterVerifier().appraise(bad, context)).rejects.toMatchObject({ code: 'dac-proof-invalid' });
    await expect(matterVerifier().appraise(device.evidence(nonce), context)).resolves.toBeDefined();
  });

  function mixed(attestationNonce: Uint8Array): Uint8Array {
    const challenge = new Uint8Array(randomBytes(16));
    const nocsr = device.requestCertificate(nonce, challenge);
    const attestation = device.attest(attestationNonce, challenge);
    return encode({
      dac: device.dac,
      pai: device.pai,
      challenge,
      nocsr: nocsr.elements,
      nocsrSignature: nocsr.signature,
      elements: attestation.elements,
      elementsSignature: attestation.signature,
    });
  }
});

describe('a certification declaration', () => {
  const paaKeyId = (): Uint8Array =>
    vendor.paa.certificate!.extensions.find(({ oid }) => oid === '2.5.29.14')!.value.subarray(2);

  it.each<[string, DeclarationFields | (() => DeclarationFields)]>([
    ['for the product among others', { productIds: [0x7fff, 0x8000] }],
    [
      'for another product with DACs of this one',
      { vendorId: 0xabcd, productIds: [1], originVendorId: 0xfff1, originProductId: 0x8000 },
    ],
    ['for this PAA', () => ({ authorizedPaas: [new Uint8Array(20), paaKeyId()] })],
    ['that is provisional', { certificationType: 1 }],
  ])('%s is accepted', async (_, fields) => {
    const declaration = vendor.declarations.sign(typeof fields === 'function' ? fields() : fields);
    expect((await affirmed(vendor.device(declaration).evidence(nonce))).findings).toEqual([]);
  });

  it.each<[string, DeclarationFields, string]>([
    ['of another format', { formatVersion: 2 }, 'cd-format-version'],
    ['for another vendor', { vendorId: 0xfff2 }, 'cd-vendor-mismatch'],
    ['for other products', { productIds: [0x8001] }, 'cd-product-mismatch'],
    ['whose origin is another vendor', { originVendorId: 0xfff2, originProductId: 0x8000 }, 'cd-vendor-mismatch'],
    ['whose origin is another product', { originVendorId: 0xfff1, originProductId: 0x8001 }, 'cd-product-mismatch'],
    ['with half an origin', { originVendorId: 0xfff1 }, 'cd-malformed'],
    ['for no product', { productIds: [] }, 'cd-malformed'],
    ['for 101 products', { productIds: Array.from({ length: 101 }, () => 0x8000) }, 'cd-malformed'],
    ['for other PAAs', { authorizedPaas: [new Uint8Array(20)] }, 'cd-paa-not-authorized'],
    ['with an empty list of PAAs', { authorizedPaas: [] }, 'cd-malformed'],
    ['with a PAA that is no key identifier', { authorizedPaas: [new Uint8Array(19)] }, 'cd-malformed'],
    ['with a short certificate id', { certificateId: 'CSA' }, 'cd-malformed'],
    ['of an unknown type', { certificationType: 3 }, 'cd-malformed'],
    ['for tests', { certificationType: 0 }, 'cd-test-product'],
  ])('%s is refused', async (_, fields, code) => {
    expect(await refused(vendor.device(vendor.declarations.sign(fields)).evidence(nonce))).toMatchObject({ code });
  });

  it('by a test key, or for tests, counts where the endpoint allows test devices', async () => {
    const bytes = vendor.device(vendor.declarations.sign({ certificationType: 0 })).evidence(nonce);
    const anchors = [
      testAnchor('paa', vendor.paa.certificate!),
      testAnchor('cd', vendor.declarations.certificate, { test: true }),
    ];
    const allowing = contextOf({ anchors, policy: { allowTestDevices: true } });
    expect((await matterVerifier().appraise(bytes, allowing)).claims).toMatchObject({ 'certification-type': 'test' });
    await expect(matterVerifier().appraise(bytes, contextOf({ anchors }))).rejects.toMatchObject({
      code: 'cd-test-key',
    });
  });

  it('that was verified once is still held against the product, the endpoint and its own octets', async () => {
    const cms = vendor.declarations.sign({ productIds: [0x8000], certificationType: 0 });
    const anchors = [testAnchor('paa', vendor.paa.certificate!), testAnchor('cd', vendor.declarations.certificate)];
    const allowing = { anchors, policy: { allowTestDevices: true } };
    const bytes = vendor.device(cms).evidence(nonce);
    await expect(matterVerifier().appraise(bytes, contextOf(allowing))).resolves.toBeDefined();
    await expect(matterVerifier().appraise(bytes, contextOf(allowing))).resolves.toBeDefined();
    await expect(matterVerifier().appraise(bytes, contextOf({ anchors }))).rejects.toMatchObject({
      code: 'cd-test-product',
    });
    const otherSigner = [anchors[0]!, testAnchor('cd', new MatterVendor().declarations.certificate)];
    await expect(
      matterVerifier().appraise(bytes, contextOf({ ...allowing, anchors: otherSigner })),
    ).rejects.toMatchObject({ code: 'cd-signer-unknown' });
    const flipped = Uint8Array.from(cms);
    flipped[flipped.length - 5]! ^= 1;
    await expect(
      matterVerifier().appraise(vendor.device(flipped).evidence(nonce), contextOf(allowing)),
    ).rejects.toMatchObject({ code: 'cd-signature-invalid' });
  });

  it('that is no CMS message, or by somebody else, is refused', async () => {
    expect(await refused(vendor.device(new Uint8Array([0x30, 0])).evidence(nonce))).toMatchObject({
      code: 'cd-malformed',
    });
    const stranger = signDeclaration(declarationContent(), new Uint8Array(20), makeKey());
    expect(await refused(vendor.device(stranger).evidence(nonce))).toMatchObject({ code: 'cd-signer-unknown' });
  });
});

/** Leaves members out. */
function without(...names: readonly string[]): (members: EvidenceMembers) => object {
  return (members) => Object.fromEntries(Object.entries(members).filter(([name]) => !names.includes(name)));
}

/** A request whose signature is by another key than the one it names. */
function forgedCsr(): Uint8Array {
  const { der } = makeCsr({ subject: 'O=CSA' });
  const forged = Uint8Array.from(der);
  forged[forged.length - 8]! ^= 1;
  return forged;
}

function contextOf(options: ContextOptions = {}): ReturnType<typeof appraisalContext> {
  const anchors = [testAnchor('paa', vendor.paa.certificate!), testAnchor('cd', vendor.declarations.certificate)];
  return appraisalContext({ type: 'matter-dac', anchors, issued: [nonce], ...options });
}

async function affirmed(bytes: Uint8Array): Promise<VerifiedEvidence> {
  return matterVerifier().appraise(bytes, contextOf());
}

async function refused(bytes: Uint8Array, paa: { requireDeclaration?: boolean } = {}): Promise<EvidenceFault> {
  const anchors = [testAnchor('paa', vendor.paa.certificate!, paa), testAnchor('cd', vendor.declarations.certificate)];
  try {
    await matterVerifier().appraise(bytes, contextOf({ anchors }));
  } catch (error) {
    if (error instanceof EvidenceFault) return error;
    throw error;
  }
  return expect.fail('the evidence was accepted');
}
