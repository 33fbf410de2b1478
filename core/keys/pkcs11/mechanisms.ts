import pkcs11js, { type Mechanism, type RsaOAEP, type RsaPSS } from 'pkcs11js';
import type { RsaPadding, SignMechanism } from '../token-backend.ts';
import { PKCS11_V3 } from './constants.ts';

/** The label of OAEP is given as data: the only source PKCS#11 §2.1.8 knows. */
const CKZ_DATA_SPECIFIED = 1;

/** The mechanism of each signature scheme. ML-DSA without parameters: hedged, empty context, as RFC 9881 §3 asks. */
export const SIGN_MECHANISMS: Record<SignMechanism, Mechanism> = {
  ecdsa: { mechanism: pkcs11js.CKM_ECDSA },
  'rsa-pkcs1': { mechanism: pkcs11js.CKM_RSA_PKCS },
  'rsa-pss-sha256': pss(pkcs11js.CKM_SHA256, pkcs11js.CKG_MGF1_SHA256, 32),
  'rsa-pss-sha384': pss(pkcs11js.CKM_SHA384, pkcs11js.CKG_MGF1_SHA384, 48),
  'rsa-pss-sha512': pss(pkcs11js.CKM_SHA512, pkcs11js.CKG_MGF1_SHA512, 64),
  eddsa: { mechanism: PKCS11_V3.CKM_EDDSA },
  'ml-dsa': { mechanism: PKCS11_V3.CKM_ML_DSA },
};

/** The bare RSA operation. */
export const RAW_RSA: Mechanism = { mechanism: pkcs11js.CKM_RSA_X_509 };

/** The mechanism of each padding when the token removes it. */
export const UNWRAP_MECHANISMS: Record<RsaPadding, Mechanism> = {
  pkcs1: { mechanism: pkcs11js.CKM_RSA_PKCS },
  'oaep-sha1': oaep(pkcs11js.CKM_SHA_1, pkcs11js.CKG_MGF1_SHA1),
  'oaep-sha256': oaep(pkcs11js.CKM_SHA256, pkcs11js.CKG_MGF1_SHA256),
  'oaep-sha384': oaep(pkcs11js.CKM_SHA384, pkcs11js.CKG_MGF1_SHA384),
  'oaep-sha512': oaep(pkcs11js.CKM_SHA512, pkcs11js.CKG_MGF1_SHA512),
};

/** RFC 4055 §3.1: MGF1 with the same hash, and a salt as long as the hash. */
function pss(hashAlg: number, mgf: number, saltLen: number): Mechanism {
  const parameter: RsaPSS = { type: pkcs11js.CK_PARAMS_RSA_PSS, hashAlg, mgf, saltLen };
  return { mechanism: pkcs11js.CKM_RSA_PKCS_PSS, parameter };
}

/** RFC 8017 §7.1 with an empty label. */
function oaep(hashAlg: number, mgf: number): Mechanism {
  const parameter: RsaOAEP = { type: pkcs11js.CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: CKZ_DATA_SPECIFIED };
  return { mechanism: pkcs11js.CKM_RSA_PKCS_OAEP, parameter };
}
