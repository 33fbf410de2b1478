import { openKeyStore, type KeyStore, type KeyStoreOptions, type TokenConfig } from '../../core/keys/key-store.ts';
import { provisionSoftHsm } from '../../core/keys/softhsm.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { DataFolder } from '../installation/data-folder.ts';

/** Label of the SoftHSM token that the first start makes where none is configured. */
const OWN_TOKEN = 'muster';

/** The tokens of an installation, open. */
export interface OpenTokens {
  readonly keys: KeyStore;
  /** Label of the token that new keys are made in: the first one configured. */
  readonly defaultToken: string;
  /** Label of the SoftHSM token in the data folder; undefined when none is in use. */
  readonly ownToken: string | undefined;
}

/** Opens the configured tokens, or makes a SoftHSM token in the data folder when there are none. */
export async function openTokens(
  settings: Configuration['tokens'],
  folder: DataFolder,
  onChange: NonNullable<KeyStoreOptions['onChange']>,
): Promise<OpenTokens> {
  const configured: TokenConfig[] = settings.map(({ queueLimit, ...token }) => ({
    ...token,
    queueLimitPerTenant: queueLimit,
  }));
  const tokens = configured.length > 0 ? configured : [await provisionSoftHsm(folder.tokens, { label: OWN_TOKEN })];
  const ownToken = configured.length > 0 ? undefined : OWN_TOKEN;
  return { keys: await openKeyStore(tokens, { onChange }), defaultToken: tokens[0]!.label, ownToken };
}
