import { toHex } from '../../../core/x509/octets.ts';
import { subjectKeyIdentifier, type Certificate } from '../../../core/x509/certificate.ts';

/** Subject key identifiers of the PAAs that the Matter SDK publishes with their private keys, lower-case hex. */
const TEST_PAAS: ReadonlySet<string> = new Set([
  '6afd22771f511fecbf1641976710dcdc31a1717e', // Chip-Test-PAA-FFF1
  '785ce705b86b8f4e6fc793aa60cb43ea696882d5', // Chip-Test-PAA-NoVID
]);

/** Of the test keys that sign Certification Declarations. */
const TEST_DECLARATION_SIGNERS: ReadonlySet<string> = new Set([
  '62fa823359acfaa9963e1cfa140addf504f37160', // Chip-Test-CD-Signing-Cert
]);

/** Whether anybody can sign as this PAA: its private key is published. Throws Asn1Error where the key identifier is malformed. */
export function isTestPaa(certificate: Certificate): boolean {
  return TEST_PAAS.has(keyIdOf(certificate));
}

/** Whether anybody can sign declarations as this one. Throws Asn1Error where the key identifier is malformed. */
export function isTestDeclarationSigner(certificate: Certificate): boolean {
  return TEST_DECLARATION_SIGNERS.has(keyIdOf(certificate));
}

function keyIdOf(certificate: Certificate): string {
  return toHex(subjectKeyIdentifier(certificate) ?? new Uint8Array());
}
