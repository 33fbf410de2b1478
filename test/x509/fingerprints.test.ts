import { expect, it } from 'vitest';
import { fingerprintsOf } from '../../core/x509/fingerprints.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { openssl } from './openssl.ts';

it.each(['md5', 'sha1', 'sha256'] as const)('%s is the fingerprint that openssl prints', (digest) => {
  const { der } = TestAuthority.root();
  const printed = openssl(['x509', '-inform', 'DER', '-noout', '-fingerprint', `-${digest}`], der).toString();
  expect(fingerprintsOf(der)[digest]).toBe(printed.trim().split('=')[1]!.replaceAll(':', '').toLowerCase());
});
