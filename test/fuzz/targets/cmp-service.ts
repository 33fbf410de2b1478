import { auditMigrations } from '../../../core/audit/migrations.ts';
import { Crls } from '../../../core/authority/crls.ts';
import { localBuilder } from '../../../core/authority/crl-building.ts';
import { authorityMigrations } from '../../../core/authority/migrations.ts';
import { RolloverSightings } from '../../../core/authority/rollover-sightings.ts';
import { Rollovers } from '../../../core/authority/rollovers.ts';
import { ServiceIdentities } from '../../../core/authority/service-identities.ts';
import { OPEN_CMP } from '../../../core/enrollment/cmp-settings.ts';
import type { MacCredential } from '../../../core/enrollment/credentials.ts';
import { asVerified, type MacFact } from '../../../core/enrollment/facts.ts';
import { enrollmentMigrations } from '../../../core/enrollment/migrations.ts';
import { Secret } from '../../../core/keys/secret.ts';
import { migrate } from '../../../core/store/migrations.ts';
import { storeMigrations } from '../../../core/store/store-migrations.ts';
import { inventoryMigrations } from '../../../devices/inventory/migrations.ts';
import { cmpMigrations } from '../../../protocols/cmp/migrations.ts';
import type { PkiBody } from '../../../protocols/cmp/pki-body.ts';
import { parsePkiBody, parsePkiMessage } from '../../../protocols/cmp/pki-message.ts';
import { PKI_STATUS } from '../../../protocols/cmp/pki-status.ts';
import { CmpService } from '../../../protocols/cmp/service.ts';
import { OPEN_ENDPOINT, Site } from '../../enrollment/site.ts';
import { bitString, explicit } from '../../fakes/cmp-der.ts';
import { directMac, hmac } from '../../fakes/cmp-protection.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';
import { concat, encodeTlv, parseTlv, type TlvNode, wrap } from '../tlv-tree.ts';

// None that has the server make a key: that takes longer than any input may.
const SEEDS = ['ir-pbm', 'cr-input-pbmac1', 'p10cr-gmac'];
/** Of the seeds; what is put right again has the cheapest MAC. */
const SECRET = { reference: 'seed-reference', secret: '0123456789abcdef0123456789abcdef' };
const PROTECTION = directMac(SECRET, hmac('sha256'));
const PROTECTION_ALG = 0xa1;

/** The answer is a refusal. */
class Refused extends Error {}

/**
 * The whole service behind its HTTP, with a MAC put right again over what was mutated: what a mutation does is met behind the
 * protection. Whatever comes, a PKIMessage goes back, and never one that says the server is at fault.
 */
export const cmpServiceTargets: readonly FuzzTarget[] = [
  {
    name: 'cmp service',
    seeds: () => SEEDS.map((name) => seedFile(`cmp-${name}`)),
    async decode(bytes) {
      const { service, open } = await (started ??= start());
      const call = {
        requestId: 'fuzz',
        message: protectedAgain(bytes),
        operation: undefined,
        sourceAddress: '192.0.2.1',
      };
      const answer = await service.answer(open, call, () => undefined);
      if (answer === undefined) return;
      const failures = failuresOf(parsePkiBody(parsePkiMessage(answer).bodyDer));
      if (failures?.has('systemFailure') === true) throw new RangeError('the server is at fault');
      if (failures !== undefined) throw new Refused();
    },
    // It writes to the disk.
    maxMillisPerInput: 1000,
    allowedErrors: [Refused],
    async end() {
      const running = await started;
      started = undefined;
      await running?.service[Symbol.asyncDispose]();
      await running?.site[Symbol.asyncDispose]();
    },
  },
];

/** The failInfo of a refusal; undefined where the answer is none. */
function failuresOf(body: PkiBody): ReadonlySet<string> | undefined {
  const isReply = body.kind === 'ip' || body.kind === 'cp' || body.kind === 'kup';
  const status =
    body.kind === 'error' ? body.value.pKIStatusInfo : isReply ? body.value.response[0]?.status : undefined;
  return status?.status === PKI_STATUS.rejection ? (status.failInfo ?? new Set()) : undefined;
}

interface Started {
  readonly site: Site;
  readonly service: CmpService;
  readonly open: Awaited<ReturnType<CmpService['open']>>;
}

/** What the site has already, and what CMP adds. */
const MIGRATIONS = [
  storeMigrations,
  auditMigrations,
  authorityMigrations,
  enrollmentMigrations,
  inventoryMigrations,
  cmpMigrations,
];

let started: Promise<Started> | undefined;

async function start(): Promise<Started> {
  const site = await Site.open('sqlite');
  await migrate(site.store, MIGRATIONS.flat());
  const { store, keys, authorities, endpoints, hall, profiles } = site;
  const tenant = await site.tenant('fuzz');
  const cmp = { ...OPEN_CMP, centralKeyGeneration: true };
  await site.endpoint(tenant, { ...OPEN_ENDPOINT, protocols: { cmp } }, { label: 'fuzzed' });
  const rollovers = new Rollovers({ store, authorities, report: () => undefined });
  const service = new CmpService({
    store,
    endpoints,
    hall,
    authorities,
    profiles,
    credentials: {
      signer: site.credentials.signer,
      macCredential: async (_endpoint, _protocol, reference) => credentialOf(reference),
    },
    identities: new ServiceIdentities({ store, keys, authorities }),
    rollovers,
    sightings: new RolloverSightings({ store, rollovers }),
    crls: new Crls({ store, authorities, build: localBuilder(store) }),
  });
  return { site, service, open: await service.open('fuzzed') };
}

function credentialOf(octets: Uint8Array): MacCredential | undefined {
  const { reference, secret } = SECRET;
  if (Buffer.from(octets).toString('latin1') !== reference) return undefined;
  const unlimited = { usage: 'device', state: 'free', boundKey: undefined, subject: undefined } as const;
  const fact = asVerified<MacFact>({ kind: 'mac', secretId: 'seed', reference, ...unlimited });
  return { reference, secret: new Secret(secret), fact: () => fact, failed: async () => undefined };
}

/** Where the octets look like a PKIMessage: with a protectionAlg and a MAC that are right for its header and body. */
function protectedAgain(bytes: Uint8Array): Uint8Array {
  const [message] = parseTlv(bytes) ?? [];
  const [header, body, ...rest] = message?.children ?? [];
  if (message === undefined || header?.children === undefined || body === undefined) return bytes;
  const fields = header.children.map((field, at) =>
    at > 2 && field.identifier === PROTECTION_ALG ? explicit(1, PROTECTION.algorithm) : encoded(field),
  );
  const protectedPart = concat([wrap(header.identifier, concat(fields)), encoded(body)]);
  const protection = explicit(0, bitString(PROTECTION.protect(wrap(0x30, protectedPart))));
  return wrap(message.identifier, concat([protectedPart, protection, ...rest.slice(1).map(encoded)]));
}

const encoded = (node: TlvNode): Uint8Array => encodeTlv(node, () => undefined);
