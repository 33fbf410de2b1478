/** How a platform prints a fingerprint. */
export const FINGERPRINT_FORMS = {
  /** `0CD2F9E0DA17…` */
  plain: (hex: string) => hex.toUpperCase(),
  /** `0cd2f9e0da17…` */
  lower: (hex: string) => hex,
  /** `0C:D2:F9:E0:…` */
  colons: (hex: string) => hex.toUpperCase().replaceAll(/..(?=.)/g, '$&:'),
  /** `0c:d2:f9:e0:…` */
  lowerColons: (hex: string) => hex.replaceAll(/..(?=.)/g, '$&:'),
  /** `0CD2F9E0 DA1773E9 …` */
  words: (hex: string) => hex.toUpperCase().replaceAll(/.{8}(?=.)/g, '$& '),
  /** `0cd2f9e0 da1773e9 …` */
  lowerWords: (hex: string) => hex.replaceAll(/.{8}(?=.)/g, '$& '),
} as const satisfies Record<string, (hex: string) => string>;
export type FingerprintForm = keyof typeof FINGERPRINT_FORMS;

/** The names of the digests, as devices write them. */
export const DIGEST_NAMES = { md5: 'MD5', sha1: 'SHA-1', sha256: 'SHA-256' } as const;
