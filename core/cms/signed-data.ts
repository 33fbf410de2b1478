/** SignedData (RFC 5652 §5) for other modules: read, verify, build, and the degenerate form that carries certificates. */
export { buildSignedData } from './build-signed-data.ts';
export type { CmsSigner } from './build-signed-data.ts';
export { decodeCertsOnly, encodeCertsOnly } from './certs-only.ts';
export { parseSignedData } from './signed-data-syntax.ts';
export { verifySignedData } from './verify-signed-data.ts';
export type { VerifySignedDataOptions } from './verify-signed-data.ts';
