import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../../core/keys/secret.ts';
import { type TokenUnderTest, describeTokenContract } from './contract.ts';

const MODULE = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/libsoftokn3.so`)
  .find((path) => existsSync(path))!;
const LABEL = 'NSS for Muster';
// NSS derives the key of each private object from the password at every use; the count is its own variable for tests.
process.env['NSS_MAX_MP_PBE_ITERATION_COUNT'] = '1';
const LACKS = { ed25519: 'softokn 3.87 of Debian 12 has no CKM_EDDSA' };

const prepare = (process: 'shared' | 'own') => async (): Promise<TokenUnderTest> => {
  const directory = await mkdtemp(join(tmpdir(), 'nss-'));
  const pin = Secret.random();
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, `${pin.reveal()}\n`, { mode: 0o600 });
  execFileSync('certutil', ['-N', '-d', `sql:${directory}`, '-f', passwordFile]);
  const libraryParameters = `configdir='sql:${directory}' certPrefix='' keyPrefix='' secmod='secmod.db' dbTokenDescription='${LABEL}'`;
  return {
    config: { label: LABEL, module: MODULE, pin, libraryParameters, process },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
};

describeTokenContract('NSS softokn in this process', prepare('shared'), LACKS);
describeTokenContract('NSS softokn in the signer process', prepare('own'), LACKS);
