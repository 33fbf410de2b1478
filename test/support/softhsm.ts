import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SoftHsmToken, provisionSoftHsm } from '../../core/keys/softhsm.ts';

/** A SoftHSM token in a directory of its own: one per test file, as a process sees the tokens of one directory only. */
export interface PrivateSoftHsm extends SoftHsmToken {
  readonly directory: string;
  /** Removes the directory. */
  remove(): Promise<void>;
}

/** Makes a token labelled `label`, and points this process and its signer processes at it. */
export async function privateSoftHsm(label = 'test'): Promise<PrivateSoftHsm> {
  const directory = await mkdtemp(join(tmpdir(), 'softhsm-'));
  const token = await provisionSoftHsm(directory, { label });
  return { ...token, directory, remove: () => rm(directory, { recursive: true, force: true }) };
}
