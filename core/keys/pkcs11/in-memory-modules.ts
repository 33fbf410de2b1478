import { basename } from 'node:path';

/** Modules whose token lives in the memory of the process that loads them: they compute, and have nothing to hang on. */
const IN_MEMORY = /^(libsofthsm2|libsoftokn3)\.(so|dylib|dll)(\.|$)/;

/** Whether a module may be called in this thread: SoftHSM and NSS softokn, by file name. */
export function isInMemoryModule(path: string): boolean {
  return IN_MEMORY.test(basename(path));
}
