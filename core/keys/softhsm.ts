import { existsSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InternalError } from '../errors/muster-error.ts';
import { CryptokiLibrary } from './pkcs11/cryptoki-library.ts';
import { initialiseToken } from './pkcs11/initialise-token.ts';
import { Secret } from './secret.ts';

/** A SoftHSM token of Muster's own, ready for openKeyStore. */
export interface SoftHsmToken {
  readonly label: string;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  readonly pin: Secret;
  /** The file that holds the PIN, mode 0600. */
  readonly pinFile: string;
  /** The value of SOFTHSM2_CONF. */
  readonly configFile: string;
}

/** Where distributions put the module: Debian and its kin, also by architecture; Fedora and RHEL; local builds; Homebrew. */
const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/lib/pkcs11/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];

/** CK_TOKEN_INFO has 32 octets for the label; the PIN files are named by it, too. */
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
/** 192 bits. */
const PIN_OCTETS = 24;

/**
 * Makes sure that a directory holds a SoftHSM configuration and a token with this label, both PINs random, and points this
 * process at it. Calling it again changes nothing; a call that was interrupted is completed by the next.
 *
 * SoftHSM takes its configuration from SOFTHSM2_CONF when it is initialised, so a process sees the tokens of one directory
 * only; signer processes inherit the setting. Throws InternalError when SoftHSM is missing or the token has lost its PIN file.
 */
export async function provisionSoftHsm(
  directory: string,
  {
    label,
    module = MODULES.find((path) => existsSync(path)),
  }: { readonly label: string; readonly module?: string | undefined },
): Promise<SoftHsmToken> {
  if (module === undefined) throw new InternalError('SoftHSM is not installed: apt-get install softhsm2');
  if (!LABEL.test(label))
    throw new InternalError(`a token label has 1 to 32 letters, digits, ".", "_" or "-", not "${label}"`);
  const configFile = useSoftHsmDirectory(directory);
  await mkdir(join(directory, 'tokens'), { recursive: true, mode: 0o700 });
  await writeOnce(configFile, configuration(directory));
  const pinFile = join(directory, `${label}.pin`);
  // The PINs are on disk before the token has them: the other way round, a crash in between would lock it for ever.
  const soPin = await readOrMakePin(join(directory, `${label}.so-pin`));
  const pin = await readOrMakePin(pinFile);
  await initialise(module, { label, pin, soPin });
  return { label, module, pin, pinFile, configFile };
}

/** Points this process, and the signer processes it starts, at a provisioned directory; returns its configuration file. */
function useSoftHsmDirectory(directory: string): string {
  const configFile = join(resolve(directory), 'softhsm2.conf');
  process.env['SOFTHSM2_CONF'] = configFile;
  return configFile;
}

function configuration(directory: string): string {
  return [
    `directories.tokendir = ${join(resolve(directory), 'tokens')}`,
    'objectstore.backend = file',
    'objectstore.umask = 0077',
    'log.level = ERROR',
    'slots.removable = false',
    '',
  ].join('\n');
}

async function initialise(module: string, token: { label: string; pin: Secret; soPin: Secret }): Promise<void> {
  const library = new CryptokiLibrary(module);
  try {
    await library.restart();
    initialiseToken(library.api, token);
  } finally {
    await library.close();
  }
}

async function readOrMakePin(path: string): Promise<Secret> {
  await writeOnce(path, `${Secret.random(PIN_OCTETS).reveal()}\n`);
  return new Secret((await readFile(path, 'utf8')).trim());
}

/** Writes a file, mode 0600 and flushed, unless it is there. */
async function writeOnce(path: string, text: string): Promise<void> {
  if (existsSync(path)) return;
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
