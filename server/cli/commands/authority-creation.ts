import { readFileSync, writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { KEY_ALGORITHMS } from '../../../core/keys/key-algorithm.ts';
import { CliError, EXIT } from '../exit-code.ts';
import type { SessionOf } from '../session.ts';
import { parseCount, parseDuration } from '../values.ts';

interface CreateOptions {
  readonly root: boolean;
  readonly csr: boolean;
  readonly issuer?: string;
  readonly subject?: string;
  readonly keyAlgorithm?: string;
  readonly token?: string;
  readonly validity?: number;
  readonly crlShards?: number;
  readonly out?: string;
}

interface AuthorityRequest {
  readonly id: string;
  readonly name: string;
  readonly csr: string;
}

/** `muster ca create`, `install`, `adopt`. */
export function addAuthorityCreation(group: Command, sessionOf: SessionOf): void {
  addCreate(group, sessionOf);
  addInstall(group, sessionOf);
  addAdopt(group, sessionOf);
}

function addCreate(group: Command, sessionOf: SessionOf): void {
  group
    .command('create <name>')
    .description('make an issuing CA under our root, a root, or a request for an external CA to sign')
    .addOption(new Option('--root', 'a self-signed root').default(false).conflicts(['csr', 'issuer']))
    .addOption(
      new Option('--csr', 'a key and a request over it: sign it elsewhere, then `muster ca install`').default(false),
    )
    .option('--issuer <ca>', 'which CA of ours signs it (default: the active root)')
    .option('--subject <name>', 'RFC 4514 (default: CN=NAME)')
    .addOption(
      new Option('--key-algorithm <kind>', 'kind of its key (default: rsa-3072)').choices(Object.keys(KEY_ALGORITHMS)),
    )
    .option('--token <label>', 'HSM token for its key (default: the first one configured)')
    .option('--validity <duration>', 'default: 20y of a root, 10y of an issuing CA', parseDuration)
    .option('--crl-shards <n>', 'CRLs its certificates are spread over', parseCount)
    .option('--out <file>', 'with --csr: write the request to a file')
    .addHelpText(
      'after',
      "\nExamples:\n  muster ca create root --root --key-algorithm ec-p384 --subject 'CN=Example root CA,O=Example'\n  muster ca create issuing --subject 'CN=Example issuing CA,O=Example'\n  muster ca create branch --csr --out branch.csr",
    )
    .action(async (name: string, { root, csr, validity, out, ...options }: CreateOptions, command: Command) => {
      const session = sessionOf(command);
      if (!csr) {
        const draft = { name, ...options, kind: root ? 'root' : 'issuing', validitySeconds: validity };
        return session.printObject(await session.client().post<object>('/authorities', draft));
      }
      const { issuer: _issuer, ...wish } = options;
      const made = await session.client().post<AuthorityRequest>('/authority-requests', { name, ...wish });
      if (out !== undefined) writeFileSync(out, made.csr);
      if (session.options.json === true) session.printJson(made);
      else session.print(out === undefined ? made.csr : `the request is in ${out}\n`);
      session.note(`have it signed, then: muster ca install ${name} CERT.pem ROOT.pem`);
    });
}

function addInstall(group: Command, sessionOf: SessionOf): void {
  group
    .command('install <name> <files...>')
    .description('install the certificate of a CA that was requested, with those above it up to the root')
    .option('--dry-run', 'only check chain, key and constraints', false)
    .addHelpText(
      'after',
      '\nExamples:\n  muster ca install branch branch.pem corporate-root.pem\n  muster ca install branch chain.pem --dry-run',
    )
    .action(async (name: string, files: string[], { dryRun }: { dryRun: boolean }, command: Command) => {
      const session = sessionOf(command);
      const path = `/authority-requests/${encodeURIComponent(name)}/install${dryRun ? '?dryRun=true' : ''}`;
      session.printObject(await session.client().post<object>(path, { certificates: readAll(files) }));
    });
}

function addAdopt(group: Command, sessionOf: SessionOf): void {
  group
    .command('adopt <name>')
    .description('make a CA of a key that a token holds already')
    .requiredOption('--key <uri>', 'pkcs11: URI of the key (RFC 7512), without a PIN')
    .requiredOption('--cert <files...>', 'its certificate and those above it, PEM')
    .option('--crl-shards <n>', 'CRLs its certificates are spread over', parseCount)
    .addHelpText(
      'after',
      "\nExample:\n  muster ca adopt old --key 'pkcs11:token=hsm;object=old-ca' --cert old-ca.pem old-root.pem",
    )
    .action(async (name: string, options: { key: string; cert: string[]; crlShards?: number }, command: Command) => {
      const session = sessionOf(command);
      const { key: keyUri, cert, crlShards } = options;
      const draft = { name, keyUri, certificates: readAll(cert), crlShards };
      session.printObject(await session.client().post<object>('/authorities/adopt', draft));
    });
}

/** The text of PEM files, one after the other. Throws CliError `usage`. */
export function readAll(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        return readFileSync(file, 'utf8');
      } catch (cause) {
        throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
      }
    })
    .join('\n');
}
