import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import { CrlEntryWriter, type CrlEntryRow, crlFrame } from '../../core/authority/crl-encoding.ts';
import { lintCertList, LintedCertList } from '../../core/authority/lint-crl.ts';
import { CRL_REASON, type CrlReason, encodeTbsCertList, type TbsCertListTemplate } from '../../core/x509/crl.ts';
import { type Extension, EXTENSIONS } from '../../core/x509/extensions.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { testIssuer, type TestIssuer } from './issuer.ts';

const REASONS = Object.keys(CRL_REASON) as CrlReason[];
const second = fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000);

const entry = fc.record({
  serial: fc.bigInt({ min: 1n, max: (1n << 160n) - 1n }),
  reason: fc.constantFrom(...REASONS.filter((reason) => reason !== 'removeFromCRL')),
  revokedAt: second,
  invalidityDate: fc.option(second),
});

describe('the octets of a CRL', () => {
  let issuer: TestIssuer;
  let template: Omit<TbsCertListTemplate, 'entries'>;

  beforeAll(async () => {
    issuer = await testIssuer();
    template = {
      signatureAlgorithm: issuer.signatureAlgorithm,
      issuer: issuer.subject,
      thisUpdate: new Date(1_700_000_000_000),
      nextUpdate: new Date(1_700_003_600_000),
      extensions: extensions(),
    };
  });

  const extensions = (...more: readonly Extension[]): Extension[] => [
    EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
    EXTENSIONS.crlNumber.encode(7n),
    ...more,
  ];
  const hex = (serial: bigint): string => parseSerialNumber(serial.toString(16));

  it('are those of the schema of RFC 5280, whatever the entries', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), (entries) => {
        const writer = new CrlEntryWriter();
        for (const { serial, reason, revokedAt, invalidityDate } of entries) {
          const row: CrlEntryRow = {
            serial_number: hex(serial),
            state: 'revoked',
            reason: CRL_REASON[reason],
            revoked_at: revokedAt,
            invalidity_date: invalidityDate,
          };
          writer.add(row);
        }
        expect(writer.count).toBe(entries.length);
        const expected = encodeTbsCertList({
          ...template,
          entries: entries.map(({ serial, reason, revokedAt, invalidityDate }) => ({
            serialNumber: parseSerialNumber(serial.toString(16)),
            reason,
            revocationDate: new Date(revokedAt),
            invalidityDate: invalidityDate === null ? undefined : new Date(invalidityDate),
          })),
        });
        expect(Buffer.compare(writer.finish(crlFrame(template)), expected)).toBe(0);
      }),
    );
  });

  it('stay right over many slices', async () => {
    const writer = new CrlEntryWriter();
    for (let serial = 1n; serial <= 60_000n; serial++) {
      const row = { state: 'revoked', reason: 1, revoked_at: 1_700_000_000_000, invalidity_date: null } as const;
      writer.add({ ...row, serial_number: hex((0x40n << 152n) + serial) });
    }
    const tbs = writer.finish(crlFrame(template));
    expect(tbs.length).toBeGreaterThan(2 * (1 << 20));
    await expect(lintCertList(tbs, issuer)).resolves.toBeInstanceOf(LintedCertList);
  });

  describe('do not pass lint', () => {
    const linting = (changes: Partial<TbsCertListTemplate>): Promise<unknown> =>
      lintCertList(encodeTbsCertList({ ...template, entries: [], ...changes }), issuer);
    const one = { serialNumber: parseSerialNumber('0a'), revocationDate: new Date(1_700_000_000_000) };

    it.each<[string, () => Partial<TbsCertListTemplate>]>([
      ['of another issuer', () => ({ issuer: nameFromText('CN=Other') })],
      ['with nextUpdate before thisUpdate', () => ({ nextUpdate: new Date(1_600_000_000_000) })],
      ['without a number', () => ({ extensions: extensions().slice(0, 1) })],
      ['without the key identifier', () => ({ extensions: extensions().slice(1) })],
      [
        'of another key',
        () => ({
          extensions: [
            EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: new Uint8Array(20) }),
            EXTENSIONS.crlNumber.encode(1n),
          ],
        }),
      ],
      ['with number 0', () => ({ extensions: [extensions()[0]!, EXTENSIONS.crlNumber.encode(0n)] })],
      [
        'with a number of 21 octets',
        () => ({ extensions: [extensions()[0]!, EXTENSIONS.crlNumber.encode(1n << 160n)] }),
      ],
      ['with a critical number', () => ({ extensions: [extensions()[0]!, EXTENSIONS.crlNumber.encode(1n, true)] })],
      [
        'with an unknown extension',
        () => ({ extensions: extensions({ oid: '1.2.3', critical: false, value: Uint8Array.of(5, 0) }) }),
      ],
      ['with a base that comes after it', () => ({ extensions: extensions(EXTENSIONS.deltaCRLIndicator.encode(8n)) })],
      ['with removeFromCRL in a complete one', () => ({ entries: [{ ...one, reason: 'removeFromCRL' as const }] })],
      ['with a serial number twice', () => ({ entries: [one, one] })],
      ['out of order', () => ({ entries: [{ ...one, serialNumber: parseSerialNumber('0b') }, one] })],
    ])('%s', async (_, changes) => {
      await expect(linting(changes())).rejects.toMatchObject({ reason: 'lint-failed' });
    });

    it('and are not signed twice, nor with another algorithm', async () => {
      const linted = await lintCertList(encodeTbsCertList({ ...template, entries: [one] }), issuer);
      await issuer.caKey.signCertList(linted, 't');
      await expect(issuer.caKey.signCertList(linted, 't')).rejects.toMatchObject({ reason: 'internal' });
      const forged = Object.create(LintedCertList.prototype) as LintedCertList;
      Object.defineProperty(forged, 'signatureAlgorithm', { value: issuer.signatureAlgorithm });
      await expect(issuer.caKey.signCertList(forged, 't')).rejects.toThrow(TypeError);
    });
  });
});
