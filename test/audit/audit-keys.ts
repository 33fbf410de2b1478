import { generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { NoteSigner } from '../../core/audit/note.ts';

/** A signer over a key in memory, with a count of what it signed. */
export interface MemorySigner extends NoteSigner {
  readonly signatures: readonly string[];
}

/** A new P-256 key, as the HSM's service key signs: DER signatures over SHA-256. */
export function p256Signer(): MemorySigner {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return memorySigner(publicKey, (data) => sign('sha256', data, privateKey));
}

/** A new Ed25519 key. */
export function ed25519Signer(): MemorySigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return memorySigner(publicKey, (data) => sign(null, data, privateKey));
}

function memorySigner(publicKey: KeyObject, signData: (data: Uint8Array) => Uint8Array): MemorySigner {
  const signatures: string[] = [];
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }),
    signatures,
    sign(data) {
      signatures.push(new TextDecoder().decode(data));
      return Promise.resolve(signData(data));
    },
  };
}
