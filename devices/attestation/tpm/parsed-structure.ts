import { EvidenceFault } from '../findings.ts';
import { TpmStructureError } from './structure-error.ts';

/** What `parse` reads from evidence; a TPM structure that is not one becomes EvidenceFault `tpm-malformed`. */
export function parsedStructure<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TpmStructureError) throw new EvidenceFault('tpm-malformed', error.message, { cause: error });
    throw error;
  }
}
