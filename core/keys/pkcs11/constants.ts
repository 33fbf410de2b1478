/**
 * Numbers of PKCS#11 3.0 to 3.2 that the headers inside pkcs11js (2.40) lack. A token that knows them takes them by value.
 */
export const PKCS11_V3 = {
  // PKCS#11 3.0 §2.3.5 and §2.3.14: Edwards curves.
  CKK_EC_EDWARDS: 0x40,
  CKM_EC_EDWARDS_KEY_PAIR_GEN: 0x1055,
  CKM_EDDSA: 0x1057,
  // PKCS#11 3.2: ML-DSA.
  CKK_ML_DSA: 0x4a,
  CKM_ML_DSA_KEY_PAIR_GEN: 0x1c,
  CKM_ML_DSA: 0x1d,
  CKA_PARAMETER_SET: 0x61d,
  // PKCS#11 2.40 has it; pkcs11js does not name it.
  CKA_PUBLIC_KEY_INFO: 0x129,
} as const;

/** What a token answers for "no such number": CK_UNAVAILABLE_INFORMATION on 32 and 64 bits, and zero (CK_EFFECTIVELY_INFINITE). */
export function isUnlimited(count: number): boolean {
  return count <= 0 || count >= 0xffff_ffff;
}
