import { setImmediate as nextTurn } from 'node:timers/promises';
import pkcs11js from 'pkcs11js';
import { type KeyStore, type TokenConfig, type TokenKey, openKeyStore } from '../../core/keys/key-store.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import type { SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { privateSoftHsm } from '../support/softhsm.ts';

/** Signatures a second of one way to sign, beside the module's best without Muster, measured in turns with it. */
export interface KeyFigure {
  readonly name: string;
  readonly perSecond: number;
  readonly rawPerSecond: number;
}

const KINDS = [
  { algorithm: 'ec-p256', signatureAlgorithm: 'ecdsa-with-SHA256', mechanism: pkcs11js.CKM_ECDSA, inputOctets: 32 },
  {
    algorithm: 'rsa-2048',
    signatureAlgorithm: 'sha256WithRSAEncryption',
    mechanism: pkcs11js.CKM_RSA_PKCS,
    inputOctets: 51,
  },
] as const;
const CONCURRENCIES = [1, 64];
// Rounds are short and taken in turns, and the best counts: what else the machine does falls out.
const ROUNDS = 8;
const ROUND_MS = 300;
const DATA = Buffer.alloc(600, 7);

/** P-256 and RSA-2048 on SoftHSM: in this process and behind the signer process, 1 and 64 at once. */
export async function measureKeys(): Promise<readonly KeyFigure[]> {
  const softHsm = await privateSoftHsm();
  try {
    return [...(await measureProcess(softHsm, 'shared')), ...(await measureProcess(softHsm, 'own'))];
  } finally {
    await softHsm.remove();
  }
}

async function measureProcess(softHsm: TokenConfig, process: 'shared' | 'own'): Promise<KeyFigure[]> {
  const config: TokenConfig = { ...softHsm, process };
  await using store = await openKeyStore([config]);
  const figures: KeyFigure[] = [];
  for (const kind of KINDS) figures.push(...(await measureKind(store, config, kind)));
  return figures;
}

async function measureKind(store: KeyStore, config: TokenConfig, kind: (typeof KINDS)[number]): Promise<KeyFigure[]> {
  const { algorithm, signatureAlgorithm } = kind;
  const key = await store.generate({ token: config.label, algorithm, label: algorithm, usage: 'sign' });
  const raw = new RawSigner(config, parseKeyUri(key.uri).id!, kind);
  const ways: { name: string; best: number; run: () => Promise<number> }[] = [
    { name: 'raw, this thread', best: 0, run: () => raw.inThisThread() },
    { name: 'raw, 8 sessions in the pool', best: 0, run: () => raw.inPool(8) },
    ...CONCURRENCIES.map((concurrency) => ({
      name: `${algorithm}, ${config.process} process, ${concurrency} at once`,
      best: 0,
      run: () => throughKey(key, signatureAlgorithm, concurrency),
    })),
  ];
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) way.best = Math.max(way.best, await way.run());
  }
  raw.close();
  const rawPerSecond = Math.max(ways[0]!.best, ways[1]!.best);
  return ways.slice(2).map(({ name, best }) => ({ name, perSecond: best, rawPerSecond }));
}

function throughKey(key: TokenKey, algorithm: SignatureAlgorithm, concurrency: number): Promise<number> {
  return rate(concurrency, async () => void (await key.sign(algorithm, DATA, { tenant: 'bench' })));
}

/** The module without Muster: one key found once, nothing but C_SignInit and C_Sign. */
class RawSigner {
  readonly #api = new pkcs11js.PKCS11();
  readonly #slot: Buffer;
  readonly #key: Buffer;
  readonly #mechanism: pkcs11js.Mechanism;
  readonly #input: Buffer;
  readonly #login: Buffer;

  constructor(config: TokenConfig, id: string, { mechanism, inputOctets }: (typeof KINDS)[number]) {
    this.#api.load(config.module);
    this.#initialise();
    this.#slot = this.#api
      .C_GetSlotList(true)
      .find((slot) => this.#api.C_GetTokenInfo(slot).label.trim() === config.label)!;
    this.#login = this.#open();
    this.#logIn(config);
    this.#api.C_FindObjectsInit(this.#login, [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PRIVATE_KEY },
      { type: pkcs11js.CKA_ID, value: Buffer.from(id, 'hex') },
    ]);
    this.#key = this.#api.C_FindObjects(this.#login, 1)[0]!;
    this.#api.C_FindObjectsFinal(this.#login);
    this.#mechanism = { mechanism };
    this.#input = Buffer.alloc(inputOctets, 1);
  }

  async inThisThread(): Promise<number> {
    const output = Buffer.alloc(512);
    return rate(1, () => {
      for (let i = 0; i < 8; i++) {
        this.#api.C_SignInit(this.#login, this.#mechanism, this.#key);
        this.#api.C_Sign(this.#login, this.#input, output);
      }
      return 8;
    });
  }

  async inPool(sessions: number): Promise<number> {
    const free = Array.from({ length: sessions }, () => ({ session: this.#open(), output: Buffer.alloc(512) }));
    const perSecond = await rate(sessions, async () => {
      const slot = free.pop()!;
      this.#api.C_SignInit(slot.session, this.#mechanism, this.#key);
      await this.#api.C_SignAsync(slot.session, this.#input, slot.output);
      free.push(slot);
    });
    for (const { session } of free) this.#api.C_CloseSession(session);
    return perSecond;
  }

  close(): void {
    this.#api.C_CloseSession(this.#login);
  }

  #open(): Buffer {
    return this.#api.C_OpenSession(this.#slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
  }

  #initialise(): void {
    try {
      this.#api.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK });
    } catch {
      // The store under test did it.
    }
  }

  #logIn(config: TokenConfig): void {
    try {
      this.#api.C_Login(this.#login, pkcs11js.CKU_USER, config.pin.reveal());
    } catch {
      // So did it log in.
    }
  }
}

/** Runs `concurrency` loops for one round; how many operations a second all of them did (`run` says how many each did, if not one). */
async function rate(concurrency: number, run: () => Promise<void> | number): Promise<number> {
  await nextTurn();
  const start = performance.now();
  let done = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() - start < ROUND_MS) {
      const count = await run();
      done += count ?? 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  return (done * 1000) / (performance.now() - start);
}

if (import.meta.main) {
  console.log(`${'signatures/s'.padEnd(44)}${'through key'.padStart(12)}${'raw'.padStart(9)}${'ratio'.padStart(8)}`);
  for (const { name, perSecond, rawPerSecond } of await measureKeys()) {
    const ratio = `${((100 * perSecond) / rawPerSecond).toFixed(0)} %`;
    console.log(
      `${name.padEnd(44)}${perSecond.toFixed(0).padStart(12)}${rawPerSecond.toFixed(0).padStart(9)}${ratio.padStart(8)}`,
    );
  }
}
