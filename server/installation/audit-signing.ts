import { hostname } from 'node:os';

import { checkpointDirectory } from '../../core/audit/checkpoint-memory.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import { isAuthorityKey } from '../../core/authority/authorities.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { openServiceKey, type ServiceKey } from '../../core/keys/service-key.ts';
import { newId } from '../../core/store/id.ts';
import type { Store } from '../../core/store/store.ts';
import { sharedValue } from './installation-values.ts';

/** On whose account the audit key signs: nobody's tenant. */
const ACCOUNT = { tenant: '' };

/** What every node knows of the key. */
interface StoredAuditKey {
  /** Base of the logs' origins: unique to the installation, and the same for its life. */
  readonly origin: string;
  readonly uri: string;
  /** DER SubjectPublicKeyInfo, base64. */
  readonly publicKey: string;
}

/**
 * What signs the checkpoints of the audit logs: a P-256 key of its own in the token, made at the first start and the same
 * for every node. It is opened when first needed, so that a token that is away does not keep a node from starting. What
 * was signed last is remembered in `folder`.
 */
export async function auditSigning(
  store: Store,
  keys: KeyStore,
  token: string,
  folder: string,
): Promise<CheckpointSigning> {
  const stored = await sharedValue(store, 'audit-key', () => makeKey(keys, token));
  const { origin, uri, publicKey } = JSON.parse(new TextDecoder().decode(stored)) as StoredAuditKey;
  let opened: Promise<ServiceKey> | undefined;
  const open = (): Promise<ServiceKey> =>
    openServiceKey(keys, parseKeyUri(uri).uri, undefined, {
      isAuthorityKey: (spkiSha256) => isAuthorityKey(store, spkiSha256),
    });
  return {
    originBase: origin,
    signer: {
      publicKey: Buffer.from(publicKey, 'base64'),
      async sign(data) {
        opened ??= open().catch((error: unknown) => {
          opened = undefined;
          throw error;
        });
        return (await opened).sign(data, ACCOUNT);
      },
    },
    memory: checkpointDirectory(folder),
  };
}

async function makeKey(keys: KeyStore, token: string): Promise<Uint8Array> {
  const key = await keys.generate({ token, algorithm: 'ec-p256', label: 'muster/audit', usage: 'sign' });
  const origin = `${hostname()}/muster/${newId()}`;
  const stored: StoredAuditKey = { origin, uri: key.uri, publicKey: Buffer.from(key.publicKey.der).toString('base64') };
  return new TextEncoder().encode(JSON.stringify(stored));
}
