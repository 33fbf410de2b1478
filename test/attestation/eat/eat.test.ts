import { createPublicKey, hash, type KeyObject, randomBytes } from 'node:crypto';
import { encode } from 'cborg';
import { describe, expect, it } from 'vitest';
import { keyIdentifier } from '../../../core/x509/public-key.ts';
import { eatVerifier } from '../../../devices/attestation/eat/verifier.ts';
import type { ReferenceValues, VerifiedEvidence } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, type ContextOptions, testAnchor, testKeyAnchor } from '../../fakes/appraisal-context.ts';
import { type CborEntries, coseKey, EAT, EatIssuer } from '../../fakes/eat-issuer.ts';
import { makeKey, publicKeyOf, TestAuthority, type TestKeyKind } from '../../support/test-pki.ts';

const NOW = new Date('2026-11-22T12:00:00Z');
const issuer = new EatIssuer();
const nonce = new Uint8Array(randomBytes(32));
const ueid = Uint8Array.of(1, ...randomBytes(32));
const deviceKey = makeKey();

describe('an Entity Attestation Token', () => {
  it.each<TestKeyKind>(['ec-p256', 'ec-p384', 'ed25519'])(
    'by a key of %s attests the key of its cnf claim',
    async (kind) => {
      const signer = new EatIssuer(kind);
      const evidence = await appraise(signer.token(claims()), {
        anchors: [testKeyAnchor(signer.publicKey, { manufacturer: 'Example' })],
      });
      expect(evidence).toEqual({
        attestedPublicKey: publicKeyOf(deviceKey),
        identifiers: {
          'permanent-identifier': Buffer.from(ueid).toString('hex'),
          manufacturer: 'Example',
          model: 'Router 7',
        },
        claims: { 'hardware-model': 'Router 7', 'debug-status': 'disabled-permanently' },
        findings: [],
      });
    },
  );

  it.each<TestKeyKind>(['ec-p384', 'ec-p521', 'rsa-2048', 'ed25519'])('may confirm a key of %s', async (kind) => {
    const key = makeKey(kind);
    const { attestedPublicKey } = await appraise(
      issuer.token(claims([[EAT.cnf, new Map([[1, coseKey(publicHalf(key))]])]])),
    );
    expect(attestedPublicKey!.der).toEqual(publicKeyOf(key).der);
  });

  it('may speak of the device alone', async () => {
    const token = issuer.token(claims([], [EAT.cnf]));
    expect((await appraise(token)).attestedPublicKey).toBeUndefined();
  });

  it('may be a CWT, and name its key', async () => {
    const unprotectedHeader = new Map([[4, Uint8Array.of(0xab)]]);
    const token = issuer.token(claims(), { tags: [18, 61], unprotectedHeader });
    const anchors = [
      testKeyAnchor(new EatIssuer().publicKey, { keyId: 'cd' }),
      testKeyAnchor(issuer.publicKey, { keyId: 'ab' }),
    ];
    await expect(appraise(token, { anchors })).resolves.toBeDefined();
    await expect(appraise(token, { anchors: anchors.slice(0, 1) })).rejects.toMatchObject({ code: 'eat-key-unknown' });
  });

  it.each<[string, Uint8Array]>([
    ['without a tag', issuer.token(claims(), { tags: [] })],
    ['with another tag', issuer.token(claims(), { tags: [98] })],
    ['with a CWT tag alone', issuer.token(claims(), { tags: [61] })],
    [
      'with a critical header',
      issuer.token(claims(), {
        protectedHeader: new Map<number, unknown>([
          [1, -7],
          [2, [99]],
        ]),
      }),
    ],
    ['with an unknown algorithm', issuer.token(claims(), { protectedHeader: new Map([[1, -65535]]) })],
    [
      'whose algorithm is not protected',
      issuer.token(claims(), { protectedHeader: new Map(), unprotectedHeader: new Map([[1, -7]]) }),
    ],
    [
      'with kid in both headers',
      issuer.token(claims(), {
        protectedHeader: new Map<number, unknown>([
          [1, -7],
          [4, Uint8Array.of(1)],
        ]),
        unprotectedHeader: new Map([[4, Uint8Array.of(2)]]),
      }),
    ],
    ['whose payload is no map', issuer.token(encode([1]))],
    ['that is no CBOR', Buffer.from('eyJhbGciOiJFUzI1NiJ9.e30.AA')],
  ])('%s is refused', async (_, token) => {
    await expect(appraise(token)).rejects.toMatchObject({ code: 'eat-malformed' });
  });

  it.each<[string, readonly (readonly [number, unknown])[]]>([
    ['a nonce of 7 octets', [[EAT.nonce, new Uint8Array(7)]]],
    ['a nonce of 65 octets', [[EAT.nonce, new Uint8Array(65)]]],
    ['a hundred nonces', [[EAT.nonce, Array.from({ length: 100 }, () => new Uint8Array(32))]]],
    ['a nonce that is text', [[EAT.nonce, 'nonce']]],
    ['a ueid of six octets', [[EAT.ueid, Uint8Array.of(1, 2, 3, 4, 5, 6)]]],
    ['a ueid of an unknown type', [[EAT.ueid, new Uint8Array(33)]]],
    ['an unknown debug status', [[EAT.debug, 5]]],
    ['a cnf that is a key identifier', [[EAT.cnf, new Map([[3, Uint8Array.of(1)]])]]],
    [
      'two members in cnf',
      [
        [
          EAT.cnf,
          new Map<number, unknown>([
            [1, coseKey(publicHalf(deviceKey))],
            [3, Uint8Array.of(1)],
          ]),
        ],
      ],
    ],
    [
      'a private key in cnf',
      [[EAT.cnf, new Map([[1, new Map([...coseKey(publicHalf(deviceKey)), [-4, new Uint8Array(32)]])]])]],
    ],
    [
      'a point off its curve in cnf',
      [
        [
          EAT.cnf,
          new Map([
            [
              1,
              new Map<number, unknown>([
                [1, 2],
                [-1, 1],
                [-2, new Uint8Array(32)],
                [-3, new Uint8Array(32)],
              ]),
            ],
          ]),
        ],
      ],
    ],
    ['an unknown kind of key in cnf', [[EAT.cnf, new Map([[1, new Map([[1, 4]])]])]]],
    [
      'an RSA key of 512 bits in cnf',
      [
        [
          EAT.cnf,
          new Map([
            [
              1,
              new Map<number, unknown>([
                [1, 3],
                [-1, Uint8Array.of(0x80, ...randomBytes(62), 1)],
                [-2, Uint8Array.of(1, 0, 1)],
              ]),
            ],
          ]),
        ],
      ],
    ],
    ['a measurement that is no pair', [[EAT.measurements, [[1]]]]],
    ['a profile that is a number', [[EAT.profile, 1]]],
    ['a profile that is half an OID', [[EAT.profile, Uint8Array.of(0x2b, 0x81)]]],
    ['a model of no octets', [[EAT.model, new Uint8Array()]]],
    ['an end that is text', [[EAT.exp, 'tomorrow']]],
  ])('with %s is refused', async (_, changes) => {
    await expect(appraise(issuer.token(claims(changes)))).rejects.toMatchObject({ code: 'eat-malformed' });
  });

  it.each<[string, (signature: Uint8Array) => Uint8Array]>([
    ['another', (signature) => signature.map((octet) => octet ^ 1)],
    ['shortened', (signature) => signature.subarray(1)],
    ['no', () => new Uint8Array()],
  ])('with %s signature is refused', async (_, alter) => {
    await expect(appraise(issuer.token(claims(), { alter }))).rejects.toMatchObject({ code: 'eat-signature-invalid' });
  });

  it('by a key that is no anchor, or under an algorithm of another curve, is refused', async () => {
    const stranger = new EatIssuer();
    await expect(appraise(stranger.token(claims()))).rejects.toMatchObject({ code: 'eat-signature-invalid' });
    await expect(appraise(issuer.token(claims()), { anchors: [] })).rejects.toMatchObject({ code: 'eat-key-unknown' });
    const confused = new EatIssuer('ec-p384');
    const token = confused.token(claims(), { protectedHeader: new Map([[1, -7]]) });
    await expect(appraise(token, { anchors: [testKeyAnchor(confused.publicKey)] })).rejects.toMatchObject({
      code: 'eat-signature-invalid',
    });
  });

  it('holds within its times', async () => {
    const seconds = NOW.getTime() / 1000;
    const within = (changes: readonly (readonly [number, unknown])[]): Promise<unknown> =>
      appraise(issuer.token(claims(changes)));
    await expect(
      within([
        [EAT.exp, seconds + 1],
        [EAT.nbf, seconds],
      ]),
    ).resolves.toBeDefined();
    await expect(within([[EAT.exp, seconds]])).rejects.toMatchObject({ code: 'eat-expired' });
    await expect(within([[EAT.nbf, seconds + 0.5]])).rejects.toMatchObject({ code: 'eat-not-yet-valid' });
  });

  it('names the device', async () => {
    await expect(appraise(issuer.token(claims([], [EAT.ueid])))).rejects.toMatchObject({ code: 'eat-device-unnamed' });
  });

  it('is of a profile that its anchor speaks for', async () => {
    const anchors = [
      testKeyAnchor(issuer.publicKey, { profiles: ['tag:example.com,2026:router', '1.3.6.1.4.1.99999'] }),
    ];
    const of = (profile: unknown): Promise<unknown> =>
      appraise(issuer.token(claims([[EAT.profile, profile]])), { anchors });
    await expect(of('tag:example.com,2026:router')).resolves.toBeDefined();
    await expect(of(Uint8Array.of(0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f))).resolves.toBeDefined();
    await expect(of('tag:example.com,2026:phone')).rejects.toMatchObject({ code: 'eat-profile' });
    await expect(appraise(issuer.token(claims()), { anchors })).rejects.toMatchObject({
      code: 'eat-profile',
      detail: expect.stringContaining('found none'),
    });
  });

  it('with debugging enabled counts where the endpoint allows test devices', async () => {
    const token = issuer.token(claims([[EAT.debug, 0]]));
    await expect(appraise(token)).rejects.toMatchObject({ code: 'eat-debug-enabled' });
    expect((await appraise(token, { policy: { allowTestDevices: true } })).findings).toEqual(['eat-debug-enabled']);
  });
});

describe('a token with the chain of its signer', () => {
  const maker = TestAuthority.root({ name: 'CN=Maker of attesters' });
  const line = maker.intermediate({ name: 'CN=Line' });
  const attester = new EatIssuer();
  const certificate = line.leaf({ subject: 'CN=Attester', key: attester.key, serialNumber: '0a0b' });
  const anchors = [testKeyAnchor(issuer.publicKey), testAnchor('eat', maker.certificate, { manufacturer: 'Maker' })];
  const withChain = (chain: unknown, by: EatIssuer = attester): Uint8Array =>
    by.token(claims(), { unprotectedHeader: new Map([[33, chain]]) });

  it('is verified by the first certificate, which leads to an anchor', async () => {
    const evidence = await appraise(withChain([certificate.der, line.der]), { anchors, now: new Date() });
    expect(evidence.identifiers.manufacturer).toBe('Maker');
    const direct = maker.leaf({ key: attester.key });
    await expect(appraise(withChain(direct.der), { anchors, now: new Date() })).resolves.toBeDefined();
  });

  it.each<[string, unknown, string]>([
    [
      'that leads nowhere',
      [TestAuthority.root({ name: 'CN=Other' }).leaf({ key: attester.key }).der],
      'eat-path-invalid',
    ],
    ['without its intermediate', [certificate.der], 'eat-path-invalid'],
    ['of another key', [line.leaf({}).der, line.der], 'eat-signature-invalid'],
    ['of no certificates', [], 'eat-malformed'],
    ['of nine certificates', Array(9).fill(certificate.der), 'eat-malformed'],
    ['that is none', [new Uint8Array(9)], 'eat-malformed'],
    ['that is text', 'chain', 'eat-malformed'],
  ])('%s is refused', async (_, chain, code) => {
    await expect(appraise(withChain(chain), { anchors, now: new Date() })).rejects.toMatchObject({ code });
  });

  it('is refused where the chain is revoked, or the anchor is a bare key', async () => {
    const token = withChain([certificate.der, line.der]);
    const revoked = [`${Buffer.from(keyIdentifier(line.certificate.publicKey)).toString('hex')}/0a0b`];
    await expect(appraise(token, { anchors, revoked, now: new Date() })).rejects.toMatchObject({ code: 'eat-revoked' });
    const bare = [testKeyAnchor(attester.publicKey)];
    await expect(appraise(token, { anchors: bare, now: new Date() })).rejects.toMatchObject({
      code: 'eat-path-invalid',
    });
  });
});

describe('freshness of a token', () => {
  it('comes from a nonce issued here, once, of one or several in the token', async () => {
    const context = contextOf();
    const token = issuer.token(claims([[EAT.nonce, [new Uint8Array(32), nonce]]]));
    await eatVerifier().appraise(token, context);
    await expect(eatVerifier().appraise(token, context)).rejects.toMatchObject({ code: 'nonce-not-ours' });
  });

  it('or from the nonce that the carrier expects', async () => {
    await expect(appraise(issuer.token(claims()), { nonce, issued: [] })).resolves.toBeDefined();
    await expect(appraise(issuer.token(claims()), { nonce: new Uint8Array(32) })).rejects.toMatchObject({
      code: 'nonce-mismatch',
    });
    await expect(appraise(issuer.token(claims([], [EAT.nonce])), { nonce })).rejects.toMatchObject({
      code: 'nonce-missing',
    });
  });
});

describe('reference values', () => {
  const image = Buffer.from('image 1.2.3');
  const reference = (measurement: string, id = 'a'): ReferenceValues => ({
    id,
    model: 'Router 7',
    firmware: '1.2.3',
    pcrs: {},
    claims: { 'measurement-0': measurement },
  });
  const token = issuer.token(claims([[EAT.measurements, [[258, image]]]]));
  const right = hash('sha256', image, 'hex');

  it('have to fit where there are some for the model', async () => {
    await expect(appraise(token, { references: [reference('00', 'b'), reference(right)] })).resolves.toMatchObject({
      claims: { 'measurement-0': right },
    });
    await expect(appraise(token, { references: [reference('00')] })).rejects.toMatchObject({
      code: 'eat-reference-mismatch',
    });
    await expect(appraise(token, { references: [{ ...reference('00'), model: 'Router 8' }] })).resolves.toBeDefined();
  });

  it('have to be there where the endpoint says so', async () => {
    const policy = { referenceValues: 'required' } as const;
    await expect(appraise(token, { policy })).rejects.toMatchObject({ code: 'eat-reference-mismatch' });
    await expect(appraise(token, { policy, references: [reference(right)] })).resolves.toBeDefined();
    await expect(
      appraise(issuer.token(claims([], [EAT.model])), { policy, references: [reference(right)] }),
    ).rejects.toMatchObject({ code: 'eat-reference-mismatch' });
  });
});

describe('a PSA token (RFC 9783)', () => {
  const PROFILE = 'tag:psacertified.org,2023:psa#tfm';
  const component = (type: string | undefined): CborEntries =>
    new Map<number, unknown>([
      ...(type === undefined ? [] : [[1, type] as const]),
      [2, Uint8Array.of(0xaa)],
      [4, '2.1.0'],
      [5, Uint8Array.of(0xbb)],
    ]);
  const psa = (changes: readonly (readonly [number, unknown])[] = [], omit: readonly number[] = []): Uint8Array =>
    issuer.token(
      claims(
        [
          [EAT.profile, PROFILE],
          [2394, 1],
          [2395, 0x3000],
          [2396, new Uint8Array(32).fill(7)],
          [2399, [component('BL'), component(undefined)]],
          ...changes,
        ],
        omit,
      ),
    );

  it('tells life cycle, implementation and software', async () => {
    const evidence = await appraise(psa());
    expect(evidence.claims).toMatchObject({
      'psa-lifecycle': 'secured',
      'psa-client-id': 1,
      'psa-implementation-id': '07'.repeat(32),
      'software-BL': 'aa',
      'software-BL-version': '2.1.0',
      'software-BL-signer': 'bb',
      'software-1': 'aa',
    });
  });

  it.each<[string, readonly (readonly [number, unknown])[], readonly number[]]>([
    ['a nonce of 16 octets', [[EAT.nonce, new Uint8Array(16)]], []],
    ['two nonces', [[EAT.nonce, [nonce, nonce]]], []],
    ['a ueid that is not random', [[EAT.ueid, Uint8Array.of(2, 1, 2, 3, 4, 5, 6)]], []],
    ['no client id', [], [2394]],
    ['no life cycle', [], [2395]],
    ['a life cycle out of bounds', [[2395, 0x3f00]], []],
    ['a negative life cycle', [[2395, -1]], []],
    ['a short implementation id', [[2396, new Uint8Array(16)]], []],
    ['no software', [[2399, []]], []],
    ['two components of one type', [[2399, [component('BL'), component('BL')]]], []],
    ['a component without measurement', [[2399, [new Map([[5, Uint8Array.of(1)]])]]], []],
  ])('with %s is refused', async (_, changes, omit) => {
    await expect(appraise(psa(changes, omit))).rejects.toMatchObject({ code: 'eat-malformed' });
  });

  it.each([0x0000, 0x1000, 0x2001, 0x4000, 0x5000, 0x6000])(
    'of a device in state 0x%s is refused save for tests',
    async (state) => {
      await expect(appraise(psa([[2395, state]]))).rejects.toMatchObject({ code: 'eat-lifecycle' });
      expect((await appraise(psa([[2395, state]]), { policy: { allowTestDevices: true } })).findings).toEqual([
        'eat-lifecycle',
      ]);
    },
  );
});

/** The usual claims, some changed, some left out. */
function claims(changes: readonly (readonly [number, unknown])[] = [], omit: readonly number[] = []): CborEntries {
  const all = new Map<number, unknown>([
    [EAT.nonce, nonce],
    [EAT.ueid, ueid],
    [EAT.model, Buffer.from('Router 7')],
    [EAT.debug, 3],
    [EAT.cnf, new Map([[1, coseKey(publicHalf(deviceKey))]])],
    ...changes,
  ]);
  for (const label of omit) all.delete(label);
  return all;
}

function publicHalf(key: KeyObject): KeyObject {
  return createPublicKey(key);
}

function contextOf(options: ContextOptions = {}): ReturnType<typeof appraisalContext> {
  return appraisalContext({
    type: 'eat',
    now: NOW,
    issued: [nonce],
    anchors: [testKeyAnchor(issuer.publicKey)],
    ...options,
  });
}

function appraise(token: Uint8Array, options: ContextOptions = {}): Promise<VerifiedEvidence> {
  return eatVerifier().appraise(token, contextOf(options));
}
