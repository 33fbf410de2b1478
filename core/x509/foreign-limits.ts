import { DEFAULT_LIMITS, type Limits } from '../asn1/limits.ts';

/**
 * How names, certificates and requests from outside are read: DER, save that a SET OF may come in any order. Old
 * clients do not sort the attributes of a request or of a multi-valued RDN (X.690 §11.6), and nothing here depends
 * on the order: signatures are verified, and names copied, as the octets that came.
 */
export const FOREIGN: Limits = { ...DEFAULT_LIMITS, setOrder: 'any' };
