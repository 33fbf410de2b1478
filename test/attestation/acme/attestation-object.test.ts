import { randomBytes } from 'node:crypto';
import { encode } from 'cborg';
import { describe, expect, it } from 'vitest';
import {
  attestationObjectFormat,
  decodeAttestationObject,
  statementCertificates,
} from '../../../devices/attestation/acme/attestation-object.ts';
import { acmeVerifier } from '../../../devices/attestation/acme/verifier.ts';
import { appraisalContext } from '../../fakes/appraisal-context.ts';
import { attestationObject } from '../../fakes/attestation-objects.ts';
import { TestAuthority } from '../../support/test-pki.ts';

const nonce = Buffer.from('token.thumbprint');

describe('an attestation object', () => {
  it('tells its format, with or without authData', () => {
    expect(attestationObjectFormat(attestationObject('tpm', {}))).toBe('tpm');
    expect(attestationObjectFormat(encode({ fmt: 'step', attStmt: {}, authData: new Uint8Array(37) }))).toBe('step');
    expect(attestationObjectFormat(Buffer.from('{}'))).toBeUndefined();
  });

  it.each<[string, Uint8Array]>([
    ['no CBOR', Buffer.from('{"fmt":"step"}')],
    ['no map', encode([1])],
    ['no fmt', encode({ attStmt: {} })],
    ['a fmt that is no text', encode({ fmt: 1, attStmt: {} })],
    ['no attStmt', encode({ fmt: 'step' })],
    ['another member', encode({ fmt: 'step', attStmt: {}, more: 1 })],
    ['something behind it', Buffer.concat([attestationObject('step', {}), Uint8Array.of(0)])],
    ['more than 64 KiB', attestationObject('step', { x: new Uint8Array(65_536) })],
    ['an indefinite length', Buffer.from('bf63666d746373746570 6761747453746d74a0ff'.replaceAll(' ', ''), 'hex')],
    [
      'fmt twice',
      Buffer.from('a363666d746373746570 63666d74656170706c65 6761747453746d74a0'.replaceAll(' ', ''), 'hex'),
    ],
  ])('is refused with %s', (_, octets) => {
    expect(() => decodeAttestationObject(octets)).toThrow(expect.objectContaining({ code: 'acme-object-malformed' }));
  });

  it('comes with one to eight certificates of bounded size', () => {
    const { der } = TestAuthority.root();
    const certificates = (x5c: unknown): unknown =>
      statementCertificates(
        decodeAttestationObject(attestationObject('step', x5c === undefined ? {} : { x5c })).statement,
      );
    expect(certificates(Array(8).fill(der))).toHaveLength(8);
    const refused = [
      Array(9).fill(der),
      [],
      undefined,
      der,
      ['text'],
      [new Uint8Array(9000)],
      [der.subarray(1)],
      [randomBytes(64)],
    ];
    for (const x5c of refused) {
      expect(() => certificates(x5c)).toThrow(expect.objectContaining({ code: 'acme-object-malformed' }));
    }
  });

  it('counts as the format it was sent as, and with something to be fresh for', async () => {
    const bytes = attestationObject('apple', {});
    const appraised = (context: Parameters<typeof appraisalContext>[0]): Promise<unknown> =>
      acmeVerifier().appraise(bytes, appraisalContext(context));
    await expect(appraised({ type: 'acme-step', nonce })).rejects.toMatchObject({ code: 'acme-format-mismatch' });
    await expect(appraised({ type: 'eat', nonce })).rejects.toMatchObject({ code: 'acme-format-mismatch' });
    await expect(appraised({ type: 'acme-apple' })).rejects.toMatchObject({ code: 'nonce-missing' });
    await expect(appraised({ type: 'acme-apple', nonce })).rejects.toMatchObject({ code: 'acme-object-malformed' });
  });

  it('of a TPM needs all of its members', async () => {
    const bytes = attestationObject('tpm', {
      ver: '2.0',
      alg: -7,
      sig: new Uint8Array(8),
      certInfo: new Uint8Array(8),
    });
    const context = appraisalContext({ type: 'acme-tpm', nonce });
    await expect(acmeVerifier().appraise(bytes, context)).rejects.toMatchObject({
      code: 'acme-object-malformed',
      detail: 'expected pubArea as a byte string, found none',
    });
  });
});
