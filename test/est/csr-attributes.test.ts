import {
  BitString,
  type BaseBlock,
  Constructed,
  fromBER,
  Integer,
  Null,
  ObjectIdentifier,
  Sequence,
  Set as Asn1Set,
} from 'asn1js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { KeyRules } from '../../core/authority/profile.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { ATTRIBUTE_TYPE, EXTENSION, KEY_PURPOSE, REQUEST_ATTRIBUTE } from '../../core/x509/oids.ts';
import { encodeCsrAttributes, type RequestTemplate } from '../../protocols/est/csr-attributes.ts';
import { keyLike } from '../../protocols/est/key-choice.ts';
import { type EstFixture, run, startEst } from '../support/est-fixture.ts';
import { send } from './est-client.ts';

const EC_RULES: KeyRules = { ec: ['P-384'], edwards: [], mlDsa: [] };
const RSA_RULES: KeyRules = { rsa: { minBits: 3072, maxBits: 4096 }, ec: [], edwards: [], mlDsa: [] };
const ED_RULES: KeyRules = { ec: [], edwards: ['ed25519'], mlDsa: [] };
const ML_RULES: KeyRules = { ec: [], edwards: [], mlDsa: [65] };
const NOTHING: RequestTemplate = { subjectAttributes: [], extensions: [] };
const TEMPLATE: RequestTemplate = {
  subjectAttributes: [ATTRIBUTE_TYPE.commonName, ATTRIBUTE_TYPE.serialNumber],
  extensions: [EXTENSIONS.extendedKeyUsage.encode([KEY_PURPOSE.clientAuth])],
};

const ID_CRI_TEMPLATE = '1.2.840.113549.1.9.16.2.61';
const CHALLENGE_PASSWORD = REQUEST_ATTRIBUTE.challengePassword;

describe('CsrAttrs (RFC 7030 §4.5.2, RFC 9908), read by asn1js', () => {
  it('asks for a curve and its signature', () => {
    expect(shape(attributes('attributes', EC_RULES))).toEqual([
      ['1.2.840.10045.2.1', ['1.3.132.0.34']],
      '1.2.840.10045.4.3.3',
    ]);
  });

  it('asks for an RSA key of a size', () => {
    expect(shape(attributes('attributes', RSA_RULES))).toEqual([
      ['1.2.840.113549.1.1.1', [3072]],
      '1.2.840.113549.1.1.11',
    ]);
  });

  it('names a key without parameters by an attribute without values', () => {
    expect(shape(attributes('attributes', ED_RULES))).toEqual([['1.3.101.112', []], '1.3.101.112']);
    expect(shape(attributes('attributes', ML_RULES))).toEqual([
      ['2.16.840.1.101.3.4.3.18', []],
      '2.16.840.1.101.3.4.3.18',
    ]);
  });

  it('asks for challengePassword where linking is required, and for extensions with their values', () => {
    const [challenge, extensionRequest] = shape(attributes('attributes', EC_RULES, TEMPLATE, 'required'));
    expect(challenge).toBe(CHALLENGE_PASSWORD);
    expect(extensionRequest).toEqual([
      REQUEST_ATTRIBUTE.extensionRequest,
      [[[EXTENSION.extendedKeyUsage, Buffer.from(TEMPLATE.extensions[0]!.value).toString('hex')]]],
    ]);
  });

  it('asks for evidence by the attribute that carries it', () => {
    const entries = shape(attributes('template', EC_RULES, NOTHING, 'optional', true));
    expect(entries[0]).toBe(REQUEST_ATTRIBUTE.attestation);
    expect(JSON.stringify(entries.at(-1))).toContain(`["${REQUEST_ATTRIBUTE.attestation}",[]]`);
  });

  it('gives a template besides, with the subject attributes to fill in and the key', () => {
    const entries = shape(attributes('template', EC_RULES, TEMPLATE, 'required'));
    const template = entries.find((entry) => Array.isArray(entry) && entry[0] === ID_CRI_TEMPLATE) as [
      string,
      unknown[],
    ];
    expect(template[1]).toEqual([
      [
        0,
        [[[ATTRIBUTE_TYPE.commonName]], [[ATTRIBUTE_TYPE.serialNumber]]],
        { tag: 0, items: [['1.2.840.10045.2.1', '1.3.132.0.34']] },
        {
          tag: 1,
          items: [
            [CHALLENGE_PASSWORD, []],
            [
              REQUEST_ATTRIBUTE.extensionRequest,
              [[[EXTENSION.extendedKeyUsage, Buffer.from(TEMPLATE.extensions[0]!.value).toString('hex')]]],
            ],
          ],
        },
      ],
    ]);
  });

  it('leaves out of a template what is not asked for, and tells an RSA size by a placeholder', () => {
    const entries = shape(attributes('template', RSA_RULES));
    const template = entries.at(-1) as [
      string,
      [[number, { tag: number; items: unknown[] }, { tag: number; items: unknown[] }]],
    ];
    const [version, key, others] = template[1][0];
    expect(version).toBe(0);
    expect(others).toEqual({ tag: 1, items: [] });
    const placeholder = fromBER(Buffer.from(key.items[1] as string, 'hex')).result as Sequence;
    const modulus = placeholder.valueBlock.value[0] as Integer;
    expect(modulus.valueBlock.valueHexView.length * 8 - 8).toBe(3072);
  });

  it('is nothing where nothing is asked for', () => {
    expect(attributes('none', EC_RULES)).toBeUndefined();
    expect(attributes('attributes', { ec: [], edwards: [], mlDsa: [] })).toBeUndefined();
  });
});

describe('the key made for a request', () => {
  it.each([
    [{ kind: 'rsa', bits: 2048, exponent: 3 }, RSA_RULES, { kind: 'rsa', bits: 3072, exponent: 65_537 }],
    [{ kind: 'rsa', bits: 3500, exponent: 3 }, RSA_RULES, { kind: 'rsa', bits: 4096, exponent: 65_537 }],
    [
      { kind: 'rsa', bits: 16_384, exponent: 3 },
      { ...RSA_RULES, rsa: { minBits: 2048, maxBits: 16_384 } },
      { kind: 'rsa', bits: 4096, exponent: 65_537 },
    ],
    [{ kind: 'ec', curve: 'P-256' }, EC_RULES, { kind: 'ec', curve: 'P-384' }],
    [{ kind: 'ed448' }, ED_RULES, { kind: 'ed25519' }],
    [{ kind: 'ml-dsa', parameterSet: 65 }, ML_RULES, { kind: 'ml-dsa', parameterSet: 65 }],
    [{ kind: 'ml-dsa', parameterSet: 44 }, EC_RULES, { kind: 'ec', curve: 'P-384' }],
    [{ kind: 'ed25519' }, { ec: [], edwards: [], mlDsa: [] }, undefined],
  ] as const)('is for %j what the profile allows', (hint, rules, expected) => {
    expect(keyLike(rules, hint)).toEqual(expected);
  });
});

describe('GET csrattrs (ES-18, ES-19, E4)', () => {
  let est: EstFixture;

  beforeAll(async () => {
    est = await startEst({
      endpoints: [
        { label: 'plain', est: { csrAttributes: 'attributes' } },
        { label: 'template', est: { csrAttributes: 'template' } },
      ],
      templates: { templateFor: async () => TEMPLATE },
    });
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  it('answers 204 where nothing is asked for', async () => {
    const answer = await send(est, 'csrattrs');
    expect(answer.status).toBe(204);
    expect(answer.body).toHaveLength(0);
  });

  it.each(['plain', 'template'])('answers anybody in base64 what openssl can read (%s)', async (label) => {
    const answer = await send(est, `${label}/csrattrs`, { headers: { 'User-Agent': 'libest 3.2.0p' } });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'Content-Type': 'application/csrattrs',
      'Content-Transfer-Encoding': 'base64',
    });
    const printed = await run('openssl', ['asn1parse', '-inform', 'DER'], Buffer.from(answer.text, 'base64'));
    expect(printed.stdout.toString()).toContain('id-ecPublicKey');
    expect(printed.stdout.toString()).toContain('Extension Request');
    expect(printed.stdout.toString().includes(':1.2.840.113549.1.9.16.2.61')).toBe(label === 'template');
  });
});

function attributes(
  csrAttributes: 'none' | 'attributes' | 'template',
  rules: KeyRules,
  template = NOTHING,
  channelBinding: 'optional' | 'required' = 'optional',
  asksForEvidence = false,
): Uint8Array | undefined {
  return encodeCsrAttributes({ csrAttributes, channelBinding, asksForEvidence }, rules, template);
}

/** A DER value as nested arrays: OIDs as text, small integers as numbers, strings as hex. */
function shape(der: Uint8Array | undefined): readonly unknown[] {
  const { result, offset } = fromBER(Buffer.from(der!));
  expect(offset).toBe(der!.length);
  return value(result) as unknown[];
}

function value(block: BaseBlock): unknown {
  if (block instanceof ObjectIdentifier) return block.valueBlock.toString();
  if (block instanceof Integer) return block.valueBlock.valueDec;
  if (block instanceof Null) return null;
  if (block instanceof BitString) return Buffer.from(block.valueBlock.valueHexView).toString('hex');
  if (block instanceof Sequence || block instanceof Asn1Set) return block.valueBlock.value.map(value);
  if (block instanceof Constructed) return { tag: block.idBlock.tagNumber, items: block.valueBlock.value.map(value) };
  return Buffer.from((block.valueBlock as unknown as { valueHexView: Uint8Array }).valueHexView).toString('hex');
}
