import type { FuzzTarget } from './run-fuzz.ts';
import { acmeTargets } from './targets/acme.ts';
import { asn1Targets } from './targets/asn1.ts';
import { attestationCarriageTargets } from './targets/attestation-carriage.ts';
import { attestationTargets } from './targets/attestation.ts';
import { cmpTargets } from './targets/cmp-messages.ts';
import { cmpServiceTargets } from './targets/cmp-service.ts';
import { cmsTargets } from './targets/cms.ts';
import { estTargets } from './targets/est.ts';
import { scepTargets } from './targets/scep-messages.ts';
import { statusTargets } from './targets/status.ts';
import { tpmTargets } from './targets/tpm.ts';
import { x509Targets } from './targets/x509.ts';

/** Every decoder that meets octets from the network. One file a folder of the product. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  ...asn1Targets,
  ...x509Targets,
  ...cmsTargets,
  ...acmeTargets,
  ...attestationTargets,
  ...attestationCarriageTargets,
  ...cmpTargets,
  ...cmpServiceTargets,
  ...estTargets,
  ...scepTargets,
  ...statusTargets,
  ...tpmTargets,
];
