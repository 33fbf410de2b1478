import { defineConfig } from 'vitest/config';
import everything from '../vitest.config.ts';

// `npm run coverage`: of each file that decodes octets from the network, at least nine of ten branches are tested, by the
// tests of its own folder. A new decoder: its tests and its files.
const TESTS = ['asn1', 'x509', 'cms', 'est', 'acme'];
const EST = ['messages', 'base64', 'operation', 'key-protection', 'csr-attributes', 'multipart', 'basic-credentials'];
const ACME = ['account-key', 'jws', 'json', 'identifier', 'device-identifier', 'path', 'tls-alpn', 'caa'];
const DECODERS = [
  'core/asn1/*.ts',
  'core/x509/*.ts',
  'core/cms/*.ts',
  `protocols/est/{${[...EST, 'decoding-fault', 'tls-connection'].join(',')}}.ts`,
  `protocols/acme/{${[...ACME, 'certificate-names', 'renewal-identifier', 'nonces', 'nonce-ledger'].join(',')}}.ts`,
];

export default defineConfig({
  test: {
    ...everything.test,
    include: TESTS.map((folder) => `test/${folder}/**/*.test.ts`),
    coverage: {
      enabled: true,
      provider: 'v8',
      include: DECODERS,
      reporter: ['text'],
      reportsDirectory: 'coverage',
      thresholds: { perFile: true, branches: 90 },
    },
  },
});
