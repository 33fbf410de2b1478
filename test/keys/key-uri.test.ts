import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PeerError } from '../../core/errors/muster-error.ts';
import { formatKeyUri, parseKeyUri } from '../../core/keys/key-uri.ts';

const text = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((value) => value.isWellFormed());
const id = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((octets) => Buffer.from(octets).toString('hex'));

describe('key URIs', () => {
  it('reads and writes RFC 7512', () => {
    const uri = 'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;object=my-certificate;id=%69%95%3E%5C';
    expect(parseKeyUri(uri)).toEqual({
      token: 'The Software PKCS#11 Softtoken',
      object: 'my-certificate',
      id: '69953e5c',
      uri,
    });
    expect(parseKeyUri('PKCS11:id=%01a;token=a+b&c;type=private')).toMatchObject({ token: 'a+b&c', id: '0161' });
  });

  it('gives back what it was given', () => {
    fc.assert(
      fc.property(text, fc.option(text, { nil: undefined }), id, (token, object, keyId) => {
        const uri = formatKeyUri({ token, object, id: keyId });
        expect(parseKeyUri(uri)).toMatchObject({ token, id: keyId, uri, ...(object === undefined ? {} : { object }) });
      }),
    );
  });

  it.each([
    ['another scheme', 'pkcs12:token=a;object=b'],
    ['no token', 'pkcs11:object=b'],
    ['an empty token', 'pkcs11:token=;object=b'],
    ['no key', 'pkcs11:token=a'],
    ['an attribute twice', 'pkcs11:token=a;token=b;object=c'],
    ['an attribute it does not know', 'pkcs11:token=a;object=b;slot-id=3'],
    ['a public key', 'pkcs11:token=a;object=b;type=public'],
    ['a PIN', 'pkcs11:token=a;object=b?pin-value=1234'],
    ['a bad escape', 'pkcs11:token=a;object=%4'],
    ['a character that must be escaped', 'pkcs11:token=a b;object=c'],
    ['octets that are not UTF-8', 'pkcs11:token=%FF;object=c'],
    ['an overlong one', `pkcs11:token=a;object=${'b'.repeat(3000)}`],
  ])('refuses %s', (_what, uri) => {
    expect(() => parseKeyUri(uri)).toThrow(PeerError);
  });

  it('answers any text with parts or PeerError', () => {
    const pieces = fc.constantFrom('pkcs11:', 'token=', 'object=', 'id=', ';', '%', '%41', 'x', '=', '?', 'é');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((all) => all.join('')),
        ),
        (uri) => {
          try {
            expect(parseKeyUri(uri).token).not.toBe('');
          } catch (error) {
            expect(error).toBeInstanceOf(PeerError);
          }
        },
      ),
    );
  });
});
