import { asn1Targets } from './targets/asn1.ts';
import type { FuzzTarget } from './run-fuzz.ts';

/** Every decoder that meets octets from the network. One file a folder of the product. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [...asn1Targets];
