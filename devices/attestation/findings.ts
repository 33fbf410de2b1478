/**
 * The one table of what can be said of evidence: each code with what it tells an operator. A code is stable and never used for
 * another meaning; its prefix names the part of the evidence.
 */
export const FINDINGS = {
  // the gate
  'evidence-absent': 'the request came without evidence',
  'evidence-type-unknown': 'no verifier knows this kind of evidence',
  'evidence-type-not-accepted': 'the endpoint does not accept this kind of evidence',
  'evidence-malformed': 'the evidence cannot be read',
  'evidence-too-large': 'the evidence exceeds the size that is looked at',
  'evidence-used': 'the evidence that was appraised beforehand has enrolled another request, or is over',
  'nonce-missing': 'the evidence holds no nonce',
  'nonce-mismatch': 'the evidence holds another nonce than the one it must be fresh for',
  'nonce-not-ours': 'the nonce in the evidence was not issued here for this endpoint, is over, or was used',
  'key-none-attested': 'the evidence attests no key, and who asks has not proved to be the device',
  'key-is-another': 'the attested key is not the requested key',
  'key-not-proved': 'the evidence speaks of the device alone, and the request does not prove the possession of its key',
  // the manifest and what was enrolled before
  'device-not-expected': 'the manifest does not hold this device, and the endpoint admits no other',
  'device-mismatch': 'the evidence contradicts what the manifest says of the device',
  'device-name-mismatch': 'the request names another device than the one its evidence proves',
  'device-released': 'the manifest says that the device was released to another owner',
  'device-blocked': 'the manifest says that the device is blocked',
  'identity-used':
    'the identity has enrolled before and the endpoint admits it once; have it expected again after a repair',
  'identity-cloned':
    'the identity holds a live certificate over another key: a second device shows it, or it was reset',
  // IEEE 802.1AR
  'idevid-malformed': 'the device certificate, or what was signed with it, is not of its form',
  'idevid-unknown': 'the device certificate leads to no anchor of purpose idevid',
  'idevid-path-invalid': 'the device certificate leads to its manufacturer by no valid path',
  'idevid-signature-invalid': 'the device certificate is not signed by who it names',
  'idevid-signature-weak': 'the path of the device certificate rests on SHA-1, which its anchor does not allow',
  'idevid-not-yet-valid': 'the device certificate, or one above it, is not valid yet',
  'idevid-expired': 'the device certificate, or one above it, has expired',
  'idevid-revoked': 'the device certificate, or one above it, is revoked',
  'idevid-profile': 'the certificate is not one of a device',
  'idevid-key-weak': 'the private key of the device can be computed by whoever looks',
  'idevid-hardware-type': 'the certificate names a kind of hardware that its anchor does not speak for',
  'idevid-serial-number': 'the certificate does not name the serial number where its manufacturer writes it',
  'idevid-proof-invalid': 'the key of the device certificate did not sign what came with it',
  // ACME device-attest-01
  'acme-object-malformed': 'the attestation object is not of its form',
  'acme-format-mismatch': 'the attestation object is of another format than the one it was sent as',
  'acme-path-invalid': 'the certificates of the attestation lead to no anchor of its purpose by a valid path',
  'acme-revoked': 'a certificate of the attestation is revoked',
  'acme-certificate-expired': 'a certificate of the attestation has expired, which its anchor overlooks',
  'acme-signature-invalid': 'the attesting key did not sign the key authorization',
  'acme-identifier-missing': 'the attestation names no device',
  'android-description-missing': 'the certificates hold no description of the key',
  'android-chain-extended': 'another key of the device, not its hardware, attests the key',
  'android-security-level': 'the key, or its attestation, is not in hardware of the level asked for',
  'android-key-imported': 'the key was not made in the hardware',
  'android-boot-unverified': 'the device is unlocked, or runs a system that its maker has not signed',
  // Entity Attestation Tokens
  'eat-malformed': 'the token is not of its form',
  'eat-key-unknown': 'no anchor of purpose eat has the key that the token names',
  'eat-signature-invalid': 'the token is not signed by the key it has to be signed by',
  'eat-path-invalid': 'the certificates in the token lead to no anchor of purpose eat by a valid path',
  'eat-revoked': 'a certificate in the token is revoked',
  'eat-expired': 'the token has expired',
  'eat-not-yet-valid': 'the token is not valid yet',
  'eat-profile': 'the token is of another profile than its anchor speaks for',
  'eat-device-unnamed': 'the token names no device',
  'eat-debug-enabled': 'debugging is enabled on the device',
  'eat-lifecycle': 'the device is not in the secured state of its life cycle',
  'eat-reference-mismatch': 'what the token measures is none of the reference values of its model',
  // Matter
  'paa-malformed': 'the PAA certificate is not a certificate of its size and form',
  'paa-version': 'the PAA certificate is not of version 3',
  'paa-signature-algorithm': 'the PAA certificate is signed by an algorithm that its profile does not have',
  'paa-key': 'the PAA certificate holds a key that its profile does not have',
  'paa-basic-constraints':
    'the PAA certificate lacks the basicConstraints of its role, critical and with the right path length',
  'paa-key-usage': 'the PAA certificate lacks the keyUsage of its role, critical and nothing besides',
  'paa-key-identifiers':
    'the PAA certificate lacks a key identifier of 20 octets that it has to have, or marks it critical',
  'paa-vendor-product': 'the PAA certificate does not name Vendor ID and Product ID as it has to',
  'pai-malformed': 'the PAI certificate is not a certificate of its size and form',
  'pai-version': 'the PAI certificate is not of version 3',
  'pai-signature-algorithm': 'the PAI certificate is signed by an algorithm that its profile does not have',
  'pai-key': 'the PAI certificate holds a key that its profile does not have',
  'pai-basic-constraints':
    'the PAI certificate lacks the basicConstraints of its role, critical and with the right path length',
  'pai-key-usage': 'the PAI certificate lacks the keyUsage of its role, critical and nothing besides',
  'pai-key-identifiers':
    'the PAI certificate lacks a key identifier of 20 octets that it has to have, or marks it critical',
  'pai-vendor-product': 'the PAI certificate does not name Vendor ID and Product ID as it has to',
  'dac-malformed': 'the DAC is not a certificate of its size and form',
  'dac-version': 'the DAC is not of version 3',
  'dac-signature-algorithm': 'the DAC is signed by an algorithm that its profile does not have',
  'dac-key': 'the DAC holds a key that its profile does not have',
  'dac-basic-constraints': 'the DAC lacks the basicConstraints of its role, critical and with the right path length',
  'dac-key-usage': 'the DAC lacks the keyUsage of its role, critical and nothing besides',
  'dac-key-identifiers': 'the DAC lacks a key identifier of 20 octets that it has to have, or marks it critical',
  'dac-vendor-product': 'the DAC does not name Vendor ID and Product ID as it has to',
  'paa-unknown': 'no anchor of purpose paa has the key that the PAI certificate names',
  'paa-test': 'the device stands below a PAA whose private key is published, and the endpoint allows no test devices',
  'paa-vendor-scope': 'the PAA does not speak for this vendor',
  'paa-not-valid-at-issuance': 'the PAA was not valid when the DAC was issued',
  'pai-signature-invalid': 'the PAI certificate is not signed by the PAA it names',
  'pai-not-valid-at-issuance': 'the PAI certificate was not valid when the DAC was issued',
  'pai-revoked': 'the PAI certificate is revoked',
  'dac-signature-invalid': 'the DAC is not signed by the PAI that came with it',
  'dac-not-yet-valid': 'the DAC is not valid yet',
  'dac-expired': 'the DAC has expired',
  'dac-path-invalid': 'the certificates of the device are no valid path',
  'dac-revoked': 'the DAC is revoked',
  'dac-vendor-mismatch': 'the DAC names another vendor than its PAI',
  'dac-product-mismatch': 'the DAC names another product than its PAI',
  'dac-evidence-malformed': 'the Matter evidence is not the map of octets it has to be',
  'dac-elements-malformed': 'what the device signed is not the TLV it has to be',
  'dac-proof-invalid': 'the key of the DAC did not sign what came with it in this session',
  'dac-request-invalid': 'the NOCSR elements hold no request that is signed by its own key',
  'cd-missing': 'the PAA asks for a certification declaration, and none came',
  'cd-not-verified': 'a certification declaration came and no anchor of purpose cd is there to verify it',
  'cd-malformed': 'the certification declaration is not of its form',
  'cd-format-version': 'the certification declaration is of an unknown format',
  'cd-signer-unknown': 'no anchor of purpose cd signed the certification declaration',
  'cd-signature-invalid': 'the signature of the certification declaration is wrong',
  'cd-test-key':
    'the certification declaration is signed by a published test key, and the endpoint allows no test devices',
  'cd-test-product':
    'the certification declaration is for development and test, and the endpoint allows no test devices',
  'cd-vendor-mismatch': 'the certification declaration is for another vendor',
  'cd-product-mismatch': 'the certification declaration is for other products',
  'cd-paa-not-authorized': 'the certification declaration does not allow this PAA',
  // TPM 2.0: the statements
  'tpm-malformed': 'a TPM structure in the evidence is not what the TPM 2.0 Library says it is',
  'tpm-bundle': 'the attestation bundle is malformed, or does not hold the statements it must',
  'tpm-version': 'the statement is of another TPM version than 2.0',
  'tpm-attest-type': 'the TPM attested something else than this evidence is about',
  'tpm-signature': 'the attestation is not signed by the attestation key',
  'tpm-sha1': 'the attestation rests on SHA-1',
  'tpm-public-missing': 'the public area of the attested key did not come',
  'tpm-name-mismatch': 'the TPM attested another key than the public area that came',
  'tpm-creation-mismatch': 'the creation data is not what the TPM signed',
  // the attested key
  'key-exportable': 'the attested key may leave its TPM',
  'key-not-generated': 'the attested key was not made by its TPM',
  'key-restricted': 'the attested key is an attestation key itself and signs no request',
  'key-not-signing': 'the attested key is not for signing',
  'key-too-weak': 'the attested key is too short',
  // attestation keys
  'ak-malformed': 'a certificate of the attestation key does not decode',
  'ak-unknown': 'the attestation key has no certificate and was not activated here',
  'ak-untrusted': 'the certificate of the attestation key leads to no anchor of purpose attestation-ca',
  'ak-expired': 'the certificate of the attestation key, or of its CA, is not valid now',
  'ak-expiry-tolerated': 'the certificate of the attestation key, or of its CA, is over, and its anchor ignores that',
  'ak-revoked': 'the certificate of the attestation key, or of its CA, is revoked',
  'ak-profile': 'the certificate of the attestation key does not follow the TCG profile',
  'ak-purpose': 'no certificate, or more than one, is for an attestation key (tcg-kp-AIKCertificate)',
  'ak-too-weak': 'the attestation key is too short',
  'ak-exportable': 'the attestation key may leave its TPM',
  'ak-not-generated': 'the attestation key was not made by its TPM',
  'ak-not-restricted': 'the attestation key is not restricted: it would sign any forged attestation',
  'ak-not-signing': 'the attestation key is not for signing alone',
  'ak-activation-unknown': 'no activation waits for this secret: it is wrong, used, over, or of another endpoint',
  // endorsement keys
  'ek-missing': 'neither an endorsement key nor its certificate came',
  'ek-malformed': 'the endorsement key or its certificate does not decode',
  'ek-key-mismatch': 'the endorsement key is not that of the certificate or public area that came with it',
  'ek-key-unsupported': 'no EK template makes a key of this kind',
  'ek-key-weak': 'the endorsement key is known to be weak',
  'ek-not-allowed': 'the endorsement key has no certificate and is not in the manifest',
  'ek-profile': 'the EK certificate does not follow the TCG profile',
  'ek-purpose': 'the EK certificate is not for an endorsement key (tcg-kp-EKCertificate)',
  'ek-untrusted': 'the EK certificate leads to no anchor of purpose ek',
  'ek-manufacturer': 'the anchor of the EK certificate does not speak for this TPM manufacturer',
  'ek-expired': 'the EK certificate, or that of its CA, is not valid now',
  'ek-expiry-tolerated': 'the EK certificate, or that of its CA, is over, and its anchor ignores that',
  'ek-sha1': 'the EK certificate is signed with SHA-1, which its anchor does not allow',
  'ek-revoked': 'the EK certificate, or that of its CA, is revoked',
  // quotes
  'quote-missing': 'the endpoint compares measurements, and neither a quote nor a key bound to them came',
  'quote-no-pcrs': 'the quote is over no PCR at all',
  'quote-sha1': 'the quote is over PCRs of the SHA-1 bank',
  'quote-selection': 'the quote is over other PCRs than the reference values of the model name',
  'quote-values-missing': 'the quote came without the values of its PCRs',
  'quote-values': 'the values of the PCRs are not those that the quote signs',
  'quote-no-reference': 'the endpoint compares measurements, and the model has no reference values',
  'quote-not-reference': 'the PCRs hold values that no firmware of the model measures',
  'quote-not-compared': 'the model has no reference values that the quote could be compared with',
} as const;

/** The code of a finding. */
export type FindingCode = keyof typeof FINDINGS;

/** What the codes say, one sentence each, in order; codes that came from elsewhere stand as they are. */
export function findingSentences(codes: readonly string[]): readonly string[] {
  return codes.map((code) => (Object.hasOwn(FINDINGS, code) ? FINDINGS[code as FindingCode] : code));
}

/** Evidence that does not convince: why, by code, and what exactly was expected and found (for operators alone). */
export class EvidenceFault extends Error {
  readonly code: FindingCode;
  readonly detail: string;

  constructor(code: FindingCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.name = 'EvidenceFault';
    this.code = code;
    this.detail = detail;
  }
}
