import { checkpointDirectory } from '../../core/audit/checkpoint-memory.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import { isAuthorityKey } from '../../core/authority/authorities.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { openServiceKey } from '../../core/keys/service-key.ts';
import type { Store } from '../../core/store/store.ts';
import { sharedValue } from './installation-values.ts';

/** On whose account the audit key signs: nobody's tenant. */
const ACCOUNT = { tenant: '' };

/**
 * What signs the checkpoints of the audit logs: a P-256 key of its own in the token, made at the first start and the same
 * for every node; what was signed last is remembered in `folder`.
 */
export async function auditSigning(store: Store, keys: KeyStore, token: string, folder: string): Promise<CheckpointSigning> {
  const uri = await sharedValue(store, 'audit-key-uri', async () => {
    const key = await keys.generate({ token, algorithm: 'ec-p256', label: 'muster/audit', usage: 'sign' });
    return new TextEncoder().encode(key.uri);
  });
  const key = await openServiceKey(keys, parseKeyUri(new TextDecoder().decode(uri)).uri, undefined, {
    isAuthorityKey: (spkiSha256) => isAuthorityKey(store, spkiSha256),
  });
  return {
    originBase: 'muster/audit',
    signer: { publicKey: key.publicKey.der, sign: (data) => key.sign(data, ACCOUNT) },
    memory: checkpointDirectory(folder),
  };
}
