import { hash, randomBytes } from 'node:crypto';
import { InternalError, StateError } from '../../../core/errors/muster-error.ts';
import { statement } from '../../../core/store/statement.ts';
import type { Store, Unit } from '../../../core/store/store.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { parseSubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import type { Identifiers, KnownAttestationKey } from '../verifier.ts';
import type { EkContext } from './ek-certificate.ts';
import { makeCredential, type WrappedCredential } from './make-credential.ts';
import {
  type AttestationKeyRegistration,
  type JudgedRegistration,
  judgeRegistration,
  storedNames,
} from './registration.ts';
import type { ActivationRow, AttestationKeyRow, AttestationKeyTables } from './tables.ts';

/** Where an activation is begun and must be finished. */
export interface ActivationScope {
  readonly tenant: string;
  /** Id of the endpoint. */
  readonly endpoint: string;
}

/** A TPM answers at once; a person at a console may take a moment. */
const LIFETIME_MS = 300_000;
/** Activations of a tenant that may wait at a time: they cost a row each, and anybody with an EK may begin one. */
const MAX_WAITING = 10_000;
/** Rows of ended activations that one new one takes away. */
const SWEEP_ROWS = 100;
const SECRET_OCTETS = 32;

/**
 * Activates attestation keys: a secret goes out that only the TPM of a trusted EK opens, and only where it holds the key. Who
 * brings it back holds the key in that TPM. Knows from then on which keys those are.
 */
export class AttestationKeyOffice {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Begins an activation: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET for TPM2_ActivateCredential.
   * @throws EvidenceFault `ak-…`, `ek-…`, `tpm-…`; StateError `quota-exceeded` while too many wait
   */
  async begin(
    scope: ActivationScope,
    registration: AttestationKeyRegistration,
    context: EkContext,
  ): Promise<WrappedCredential> {
    const judged = await judgeRegistration(registration, context);
    const { ek, name: keyName } = judged;
    const secret = new Uint8Array(randomBytes(SECRET_OCTETS));
    const wrapped = makeCredential({ ek: ek.publicKey, algorithms: ek.algorithms, keyName }, secret, randomBytes);
    await this.#store.unit((tx) => insertActivation(tx, this.#rowOf(scope, judged, secret)));
    return wrapped;
  }

  /** Ends the activation of a secret: its key is known from now on. Undefined where none waits for it at this endpoint. */
  async activate({ tenant, endpoint }: ActivationScope, secret: Uint8Array): Promise<KnownAttestationKey | undefined> {
    const now = this.#store.clock.now();
    const secretHash = hash('sha256', secret);
    return this.#store.unit(async (tx) => {
      const [row] = await tx.run(takeActivation, { tenant, endpoint, secret: secretHash, now });
      if (row === undefined) return undefined;
      await tx.run(upsertKey, { ...keyOf(row), activated_at: now });
      return knownKey(row);
    });
  }

  /** The activated key with this Name or Qualified Name. */
  async find(tenant: string, name: Uint8Array): Promise<KnownAttestationKey | undefined> {
    const [row] = await this.#store.query(keyByName, { tenant, name: toHex(name) });
    return row && knownKey(row);
  }

  #rowOf({ tenant, endpoint }: ActivationScope, judged: JudgedRegistration, secret: Uint8Array): ActivationRow {
    return {
      tenant,
      secret_sha256: hash('sha256', secret),
      endpoint,
      ...storedNames(judged),
      public_key: judged.publicKey.der,
      ek_sha256: judged.ek.sha256,
      identifiers: JSON.stringify(judged.identifiers),
      claims: JSON.stringify(judged.claims),
      revocable: JSON.stringify(judged.ek.revocable),
      expires_at: this.#store.clock.now() + LIFETIME_MS,
    };
  }
}

async function insertActivation(tx: Unit, row: ActivationRow): Promise<void> {
  const { tenant } = row;
  const activations = tx.forTenant<AttestationKeyTables>(tenant);
  const now = row.expires_at - LIFETIME_MS;
  await activations
    .deleteFrom('attestation_key_activations')
    .where('secret_sha256', 'in', (db) =>
      db
        .selectFrom('attestation_key_activations')
        .select('secret_sha256')
        .where('tenant', '=', tenant)
        .where('expires_at', '<=', now)
        .limit(SWEEP_ROWS),
    )
    .execute();
  const [waiting] = await activations
    .selectFrom('attestation_key_activations')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .execute();
  if (waiting === undefined) throw new InternalError('a count has no row');
  if (Number(waiting.count) >= MAX_WAITING) {
    throw new StateError('quota-exceeded', 'too many activations of attestation keys wait');
  }
  const { tenant: _tenant, ...values } = row;
  await activations.insertInto('attestation_key_activations', values).execute();
}

type StoredKey = Omit<AttestationKeyRow, 'activated_at'>;

function keyOf({ secret_sha256: _secret, endpoint: _endpoint, expires_at: _end, ...key }: ActivationRow): StoredKey {
  return key;
}

function knownKey({ public_key, identifiers, claims, revocable }: StoredKey): KnownAttestationKey {
  return {
    publicKey: parseSubjectPublicKeyInfo(public_key),
    identifiers: JSON.parse(identifiers) as Identifiers,
    claims: JSON.parse(claims) as KnownAttestationKey['claims'],
    revocable: JSON.parse(revocable) as KnownAttestationKey['revocable'],
  };
}

const takeActivation = statement<AttestationKeyTables>()(
  'attestation-key-activation-take',
  (db, p: { tenant: string; endpoint: string; secret: string; now: number }) =>
    db
      .deleteFrom('attestation_key_activations')
      .where('tenant', '=', p.tenant)
      .where('secret_sha256', '=', p.secret)
      .where('endpoint', '=', p.endpoint)
      .where('expires_at', '>', p.now)
      .returningAll(),
);

const upsertKey = statement<AttestationKeyTables>()(
  'attestation-key-upsert',
  (
    db,
    p: {
      tenant: string;
      name: string;
      qualified_name: string | null;
      public_key: Uint8Array;
      ek_sha256: string;
      identifiers: string;
      claims: string;
      revocable: string;
      activated_at: number;
    },
  ) =>
    db
      .insertInto('attestation_keys')
      .values({
        tenant: p.tenant,
        name: p.name,
        qualified_name: p.qualified_name,
        public_key: p.public_key,
        ek_sha256: p.ek_sha256,
        identifiers: p.identifiers,
        claims: p.claims,
        revocable: p.revocable,
        activated_at: p.activated_at,
      })
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'name']).doUpdateSet((eb) => ({
          // An activation without attested creation does not forget where the key stands.
          qualified_name: eb.fn.coalesce('excluded.qualified_name', 'attestation_keys.qualified_name'),
          ek_sha256: eb.ref('excluded.ek_sha256'),
          identifiers: eb.ref('excluded.identifiers'),
          claims: eb.ref('excluded.claims'),
          revocable: eb.ref('excluded.revocable'),
          activated_at: eb.ref('excluded.activated_at'),
        })),
      ),
);

const keyByName = statement<AttestationKeyTables>()(
  'attestation-key-by-name',
  (db, p: { tenant: string; name: string }) =>
    db
      .selectFrom('attestation_keys')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where((eb) => eb.or([eb('name', '=', p.name), eb('qualified_name', '=', p.name)])),
);
