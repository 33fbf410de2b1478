import { type Static, Type } from 'typebox';
import { authoritiesOf, findAuthority, insertAuthority, listAuthorities } from '../../core/authority/authorities.ts';
import { deleteAuthority, retireAuthority } from '../../core/authority/authority-removal.ts';
import { describeKey } from '../../core/authority/profile.ts';
import type { AuthorityRow } from '../../core/authority/tables.ts';
import { usersOfAuthority } from '../../core/enrollment/endpoints.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Unit } from '../../core/store/store.ts';
import { basicConstraints, certificateFingerprint, parseCertificate } from '../../core/x509/certificate.ts';
import { type Name, nameFromText, nameToText } from '../../core/x509/name.ts';
import { adoptionBody, authorityDraft, authorityView } from './authority-schema.ts';
import { requireWet } from './changes.ts';
import type { ApiContext } from './context.ts';
import { certificatesOf } from './pem-text.ts';
import { actOnResource, createResource, removeResource, type ResourceCall } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { present, timeText } from './views.ts';

type AuthorityContext = Pick<ApiContext, 'store' | 'office' | 'authorities'>;

const YEAR = 31_536_000;

/** Authorities as a kind of object. */
export const authorityKind: ResourceKind<AuthorityRow, typeof authorityView> = {
  noun: 'authority',
  path: '/authorities',
  tag: 'authorities',
  key: keyParameter,
  access: { read: 'authorities:read', write: 'authorities:write' },
  view: authorityView,
  viewOf: authorityOf,
  keyOf: ({ id }) => id,
  find: findAuthority,
};

/** Certification authorities: make, adopt, list, show, retire, delete. */
export function authorityRoutes(app: ApiScope, context: AuthorityContext): void {
  const { store } = context;
  readResource(app, store, authorityKind, {
    filters: {},
    read: (rows, tenant, page) => authoritiesOf(rows, tenant, page),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, authorityKind, {
    summary: 'Make a root, or an issuing authority under one of ours',
    body: authorityDraft,
    create: (draft, call) => creation(context, draft, call),
  });
  createResource(app, store, authorityKind, {
    way: '/adopt',
    summary: 'Make an authority of a key that a token holds already',
    description:
      'The key has to be one that cannot leave its token, and what it signs has to verify with the certificate.',
    body: adoptionBody,
    create: (draft, call) => adoption(context, draft, call),
  });
  retireRoute(app, context);
  removeResource(app, store, authorityKind, {
    summary: 'Delete an authority that issued nothing to a device',
    async remove(tx, row) {
      await requireUnused(tx, row);
      await deleteAuthority(tx, row);
      tx.onCommitted(() => context.authorities.forget(row.tenant));
    },
  });
}

function retireRoute(app: ApiScope, { store, authorities }: AuthorityContext): void {
  actOnResource(app, store, authorityKind, {
    verb: 'retire',
    done: 'retired',
    summary: 'Have an authority issue no more',
    description:
      'It signs CRLs and OCSP answers until its last certificate has ended (`retiring`); asked again after that, it is `retired`. Where devices should follow to another one, use a rollover.',
    body: Type.Object({}, { additionalProperties: false, default: {} }),
    apply:
      async (_body, { at }) =>
      async (tx, row) => {
        await requireUnused(tx, row);
        await retireAuthority(tx, row, at);
        tx.onCommitted(() => authorities.forget(row.tenant));
      },
  });
}

async function creation(
  { store, office }: AuthorityContext,
  draft: Static<typeof authorityDraft>,
  call: ResourceCall,
): Promise<(tx: Unit) => Promise<string>> {
  const { tenant, at, request } = call;
  requireWet(request, 'makes a key');
  const known = await listAuthorities(store, tenant);
  requireFreeName(known, draft.name);
  const wish = {
    ...wishOf(tenant, draft),
    validitySeconds: draft.validitySeconds ?? (draft.kind === 'root' ? 20 : 10) * YEAR,
  };
  const row =
    draft.kind === 'root' ? await office.root(wish, at) : await office.issuing(issuerOf(known, draft.issuer), wish, at);
  return storing(row);
}

async function adoption(
  { store, office }: AuthorityContext,
  { name, keyUri, certificates, crlShards }: Static<typeof adoptionBody>,
  { tenant, at }: ResourceCall,
): Promise<(tx: Unit) => Promise<string>> {
  const known = await listAuthorities(store, tenant);
  requireFreeName(known, name);
  const wish = { tenant, name, keyUri, crlShards };
  const { authority, above } = await office.adopt(wish, certificatesOf(certificates), known, at);
  return storing(authority, above);
}

/** Stores an authority with the certificates above it; answers its id. */
export function storing(authority: AuthorityRow, above: readonly AuthorityRow[] = []) {
  return async (tx: Unit): Promise<string> => {
    for (const row of [...above, authority]) await insertAuthority(tx, row);
    return authority.id;
  };
}

/** What a wish for a key of its own says. @throws PeerError `malformed-request` for a subject that is none. */
export function wishOf(tenant: string, draft: Omit<Static<typeof authorityDraft>, 'kind' | 'issuer'>) {
  const { name, subject, keyAlgorithm = 'rsa-3072', token, crlShards } = draft;
  return { tenant, name, subject: nameOf(subject ?? `CN=${name}`), keyAlgorithm, token, crlShards, validitySeconds: 0 };
}

/** @throws StateError `conflict` when an authority has the name */
export function requireFreeName(known: readonly AuthorityRow[], name: string): void {
  if (known.some((row) => row.name === name)) throw new StateError('conflict', `the authority ${name} exists already`);
}

function issuerOf(known: readonly AuthorityRow[], key: string | undefined): AuthorityRow {
  const ours = known.filter(({ kind, state }) => kind !== 'external' && state === 'active');
  const issuer =
    key === undefined
      ? ours.findLast(({ kind }) => kind === 'root')
      : ours.find(({ id, name }) => id === key || name === key);
  if (issuer !== undefined) return issuer;
  const names = ours.map(({ name }) => name).join(', ') || 'none yet: make a root first';
  throw new PeerError('malformed-request', `issuer: expected an active authority of the tenant (${names})`);
}

async function requireUnused(tx: Unit, { tenant, id, name }: AuthorityRow): Promise<void> {
  const labels = await usersOfAuthority(tx, tenant, id);
  if (labels.length === 0) return;
  throw new StateError(
    'conflict',
    `${name} issues for the endpoints ${labels.join(', ')}: give them another authority`,
  );
}

function nameOf(text: string): Name {
  try {
    return nameFromText(text);
  } catch {
    throw new PeerError('malformed-request', `subject: expected a name as in RFC 4514, found ${text}`);
  }
}

function authorityOf(row: AuthorityRow) {
  const { id, name, kind, state, parent, certificate } = row;
  const { subject, publicKey, notBefore, notAfter, ...parsed } = parseCertificate(certificate);
  return {
    id,
    name,
    kind,
    state: kind === 'external' ? ('elsewhere' as const) : state,
    ...present('parent', parent),
    subject: nameToText(subject),
    serialNumber: parsed.serialNumber,
    keyAlgorithm: describeKey(publicKey.algorithm),
    ...(kind !== 'external' && { keyUri: row.key_uri }),
    fingerprint: certificateFingerprint(certificate),
    publicKeySha256: row.spki_sha256,
    ...present('pathLength', basicConstraints(parseCertificate(certificate))?.pathLenConstraint),
    crlShards: row.crl_shards,
    notBefore: timeText(notBefore.getTime()),
    notAfter: timeText(notAfter.getTime()),
    createdAt: timeText(row.created_at),
  };
}
