import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyText } from './any-text.ts';
import type { JsonObject } from '../../core/audit/canonical-json.ts';
import { canonicalJson } from '../../core/audit/canonical-json.ts';
import { AuditOutcome, MAX_ENTRY_BYTES, decodeEntry, encodeEntry } from '../../core/audit/entry.ts';
import type { AuditEntry } from '../../core/audit/entry.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';

const issued: AuditEntry = {
  tenant: 'acme',
  at: Date.UTC(2026, 10, 22),
  actor: 'device:0190a1b2',
  action: 'certificate.issued',
  object: 'certificate:4a1f',
  outcome: AuditOutcome.Success,
  details: { profile: 'router', authority: 'acme-issuing' },
};

const text = anyText();
const anyEntry: fc.Arbitrary<AuditEntry> = fc.record({
  tenant: fc.option(text),
  at: fc.maxSafeNat(),
  actor: text,
  action: text,
  object: text,
  outcome: fc.constantFrom(...Object.values(AuditOutcome)),
  details: fc.dictionary(text, fc.jsonValue(), { noNullPrototype: true }) as fc.Arbitrary<JsonObject>,
});

describe('the bytes of an entry', () => {
  test('are the canonical JSON of its members, in UTF-8', () => {
    expect(new TextDecoder().decode(encodeEntry(issued))).toBe(
      '{"action":"certificate.issued","actor":"device:0190a1b2","at":1795305600000,' +
        '"details":{"authority":"acme-issuing","profile":"router"},"object":"certificate:4a1f",' +
        '"outcome":"success","tenant":"acme","v":1}',
    );
    fc.assert(
      fc.property(anyEntry, (entry) => {
        expect(new TextDecoder().decode(encodeEntry(entry))).toBe(canonicalJson({ ...entry, v: 1 }));
      }),
    );
  });

  test('read back as the entry', () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        const back = decodeEntry(encodeEntry(entry));
        // -0 is 0 in JSON.
        expect(back).toEqual(JSON.parse(JSON.stringify(entry)));
      }),
    );
  });

  test.each([
    ['one blank more', (stored: string) => stored.replace(':', ': ')],
    ['members in another order', (stored: string) => stored.replace(/\{("action":[^,]*),(.*)\}/, '{$2,$1}')],
    ['another format', (stored: string) => stored.replace('"v":1', '"v":2')],
    ['a missing member', (stored: string) => stored.replace('"outcome":"success",', '')],
    ['a repeated member', (stored: string) => stored.replace('"outcome"', '"outcome":"refused","outcome"')],
    ['no JSON', () => 'dropped'],
    ['null', () => 'null'],
  ])('are not accepted with %s', (_what, change) => {
    expect(decodeEntry(Buffer.from(change(new TextDecoder().decode(encodeEntry(issued)))))).toBeUndefined();
  });

  test('any bytes give an entry or undefined', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeEntry(bytes)).toBeUndefined();
      }),
    );
  });

  test('are bounded', () => {
    expect(() => encodeEntry({ ...issued, details: { a: 'x'.repeat(MAX_ENTRY_BYTES) } })).toThrow(InternalError);
    expect(encodeEntry({ ...issued, details: { a: 'x'.repeat(MAX_ENTRY_BYTES - 300) } }).length).toBeLessThan(
      MAX_ENTRY_BYTES,
    );
  });

  test('never hold a secret', () => {
    // @ts-expect-error -- the type of the details refuses it already
    expect(() => encodeEntry({ ...issued, details: { password: new Secret('hunter2') } })).toThrow(InternalError);
  });
});
