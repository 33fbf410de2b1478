/** SignedData (RFC 5652 §5) for other modules: read, verify, build, and the degenerate form that carries certificates. */
export { buildSignedData } from './build-signed-data.ts';
export type { CmsSigner } from './build-signed-data.ts';
export { decodeCertsOnly, encodeCertsOnly } from './certs-only.ts';
export type { CmsSignatureAlgorithm } from './cms-signature.ts';
export { parseSignedData } from './signed-data-syntax.ts';
export type { SignedData } from './signed-data-syntax.ts';
export { verifySignedData } from './verify-signed-data.ts';
export type { SignedDataFinding, VerifiedSignedData, VerifySignedDataOptions } from './verify-signed-data.ts';
