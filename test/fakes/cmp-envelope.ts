import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { explicit, oid, sequence } from './cmp-der.ts';
import { oidOf, readDer, type Tlv } from './cmp-reader.ts';

/** Who opens an EnvelopedData: who knows a password, or holds a key (with the certificate it was addressed to). */
export type Opener = { readonly password: string } | KeyHolder;

interface KeyHolder {
  readonly key: KeyObject;
  readonly certificate?: Uint8Array;
}

const ENVELOPED_DATA = '1.2.840.113549.1.7.3';
const SIGNED_DATA = '1.2.840.113549.1.7.2';

/** Opens an EnvelopedData by `openssl cms`. */
export function openEnvelope(envelopedData: Uint8Array, opener: Opener): Buffer {
  return inFolder((folder) => {
    const message = folder.file(contentInfo(ENVELOPED_DATA, envelopedData));
    const out = folder.file('');
    const files = ['-inform', 'DER', '-in', message, '-out', out];
    execFileSync('openssl', [
      'cms',
      '-decrypt',
      '-binary',
      ...files,
      ...('password' in opener ? ['-pwri_password', opener.password] : keyArguments(folder, opener)),
    ]);
    return readFileSync(out);
  });
}

/** The kind of the one recipient of an EnvelopedData (RFC 5652 §6.2). */
export function recipientKind(envelopedData: Uint8Array): 'ktri' | 'kari' | 'pwri' | 'other' {
  const recipients = readDer(envelopedData).children.find(({ identifier }) => identifier === 0x31)!.children;
  const kinds = { 0x30: 'ktri', 0xa1: 'kari', 0xa3: 'pwri' } as const;
  return recipients.length === 1 ? (kinds[recipients[0]!.identifier as keyof typeof kinds] ?? 'other') : 'other';
}

/** A private key that the server made, and who says so. */
export interface KeyPackage {
  readonly key: KeyObject;
  /** The certificate that signed the key package. */
  readonly signer: X509Certificate;
}

/** Opens SignedData of an AsymmetricKeyPackage with one key (RFC 9483 §4.1.6), by `openssl cms -verify` up to the anchor. */
export function openKeyPackage(signedData: Uint8Array, anchorPem: string): KeyPackage {
  return inFolder((folder) => {
    const message = folder.file(contentInfo(SIGNED_DATA, signedData));
    const [out, signer] = [folder.file(''), folder.file('')];
    const files = ['-inform', 'DER', '-in', message, '-out', out, '-signer', signer];
    const trust = ['-CAfile', folder.file(anchorPem), '-purpose', 'any'];
    execFileSync('openssl', ['cms', '-verify', '-binary', ...files, ...trust]);
    const keys = readDer(readFileSync(out)).children;
    if (keys.length !== 1) throw new RangeError(`one key expected in the package, found ${keys.length}`);
    return {
      key: createPrivateKey({ key: keys[0]!.der, format: 'der', type: 'pkcs8' }),
      signer: new X509Certificate(readFileSync(signer)),
    };
  });
}

/** The content type that an EnvelopedData says it holds. */
export const enclosedType = (envelopedData: Uint8Array): string =>
  oidOf(encryptedContentInfo(envelopedData).children[0]!);

const encryptedContentInfo = (envelopedData: Uint8Array): Tlv =>
  readDer(envelopedData).children.find(({ identifier }) => identifier === 0x30)!;

function keyArguments(folder: Folder, { key, certificate }: KeyHolder): string[] {
  const inkey = ['-inkey', folder.file(key.export({ format: 'pem', type: 'pkcs8' }))];
  return certificate ? [...inkey, '-recip', folder.file(new X509Certificate(certificate).toString())] : inkey;
}

const contentInfo = (type: string, content: Uint8Array): Buffer => sequence(oid(type), explicit(0, content));

interface Folder {
  /** Writes a file and answers its path. */
  file(content: string | Uint8Array): string;
}

function inFolder<T>(work: (folder: Folder) => T): T {
  const path = mkdtempSync(join(tmpdir(), 'muster-cmp-'));
  let count = 0;
  const file = (content: string | Uint8Array): string => {
    const name = join(path, String((count += 1)));
    writeFileSync(name, content);
    return name;
  };
  try {
    return work({ file });
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}
