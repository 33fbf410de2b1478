import { hash } from 'node:crypto';

import { type Static, Type } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { TrustAnchorRow } from '../../core/enrollment/tables.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { nameToText } from '../../core/x509/name.ts';
import { decodePem, encodePem } from '../../core/x509/pem.ts';
import { type AnchorPurpose, ANCHOR_PURPOSES, DEFAULT_ANCHOR_SETTINGS } from '../../devices/attestation/anchors.ts';
import { isBareKey } from '../../devices/attestation/bare-key.ts';
import {
  addTrustAnchor,
  changeTrustAnchor,
  findTrustAnchor,
  listTrustAnchors,
  removeTrustAnchor,
} from '../../devices/attestation/trust-anchors.ts';
import { schemaProblems } from '../configuration/schema-problems.ts';
import { SchemaFault } from '../http/fault.ts';
import { changeResource, createResource, removeResource } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import {
  ANCHOR_SETTINGS_SCHEMAS,
  trustAnchorChanges,
  trustAnchorDraft,
  trustAnchorView,
} from './trust-anchors-schema.ts';
import type { ApiScope } from './type-provider.ts';
import { timeText } from './views.ts';

const kind: ResourceKind<TrustAnchorRow, typeof trustAnchorView> = {
  noun: 'trust anchor',
  path: '/trust-anchors',
  tag: 'attestation',
  key: keyParameter,
  access: { read: 'attestation:read', write: 'attestation:write' },
  view: trustAnchorView,
  viewOf: anchorView,
  keyOf: ({ id }) => id,
  find: findTrustAnchor,
};

/** Trust anchors: who may ask under a foreign CA, and whose evidence counts. */
export function trustAnchorRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: { purpose: Type.Optional(trustAnchorView.properties.purpose) },
    read: (rows, tenant, page, { purpose }) => listTrustAnchors(rows, tenant, { ...page, purpose }),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, kind, {
    summary: 'Trust a certificate, or the key of a signer of tokens',
    body: trustAnchorDraft,
    audited: ({ pem: _pem, ...shown }) => shown,
    async create({ name, purpose, pem, settings }, { tenant, at }) {
      const certificate = anchorOf(pem, purpose);
      const checked = settingsOf(purpose, settings ?? {});
      return (tx) => addTrustAnchor(tx, { tenant, name, purpose, certificate, settings: checked }, at);
    },
  });
  changeResource(app, store, kind, {
    body: trustAnchorChanges,
    apply: async (changes) => async (tx, row) => {
      const settings = { ...standingSettings(row), ...changes.settings };
      const checked = settingsOf(row.purpose, settings) ?? {};
      await changeTrustAnchor(tx, row, { name: changes.name ?? row.name, settings: checked });
    },
  });
  removeResource(app, store, kind, { summary: 'Trust an anchor no more', remove: removeTrustAnchor });
}

/** The certificate or key of a PEM text. */
function anchorOf(pem: string, purpose: string): Uint8Array {
  const [block, ...more] = blocksOf(pem);
  if (block === undefined || more.length > 0)
    throw new PeerError('malformed-request', 'pem: expected one certificate, or one public key');
  const { label, der } = block;
  if (label !== 'CERTIFICATE' && !(label === 'PUBLIC KEY' && purpose === 'eat'))
    throw new PeerError('malformed-request', `pem: expected a certificate for ${purpose}, found ${label}`);
  try {
    if (label === 'CERTIFICATE') parseCertificate(der);
  } catch (error) {
    if (error instanceof Asn1Error) throw new PeerError('malformed-request', `pem: ${error.message}`, { cause: error });
    throw error;
  }
  if (label === 'PUBLIC KEY' && !isBareKey(der))
    throw new PeerError('malformed-request', 'pem: expected a SubjectPublicKeyInfo of a known algorithm');
  return der;
}

function blocksOf(pem: string) {
  try {
    return decodePem(pem);
  } catch (error) {
    throw new PeerError('malformed-request', 'pem: expected PEM (RFC 7468)', { cause: error });
  }
}

/** Settings that the purpose has; undefined for purposes the gate has nothing to do with. */
function settingsOf(purpose: string, settings: object): object | undefined {
  const known = ANCHOR_PURPOSES.find((candidate) => candidate === purpose);
  if (known === undefined) {
    if (Object.keys(settings).length > 0)
      throw new PeerError('malformed-request', `settings: anchors of ${purpose} have none`);
    return undefined;
  }
  const validator = VALIDATORS[known];
  if (validator.Check(settings)) return settings;
  throw new SchemaFault(
    schemaProblems(validator, settings).map(({ path, message }) => ({ path: `/body/settings${path}`, message })),
  );
}

const VALIDATORS = Object.fromEntries(
  ANCHOR_PURPOSES.map((purpose) => [purpose, Compile(ANCHOR_SETTINGS_SCHEMAS[purpose])]),
) as Readonly<Record<AnchorPurpose, Validator>>;

function standingSettings({ purpose, settings }: TrustAnchorRow): object {
  const known = ANCHOR_PURPOSES.find((candidate) => candidate === purpose);
  const defaults = known === undefined ? {} : DEFAULT_ANCHOR_SETTINGS[known];
  return { ...defaults, ...(JSON.parse(settings ?? '{}') as object) };
}

function anchorView(row: TrustAnchorRow): Static<typeof trustAnchorView> {
  const { id, name, purpose, certificate: der } = row;
  const certificate = isBareKey(der) ? undefined : parseCertificate(der);
  return {
    id,
    name,
    purpose: purpose as Static<typeof trustAnchorView>['purpose'],
    ...(certificate && {
      subject: nameToText(certificate.subject),
      notAfter: timeText(certificate.notAfter.getTime()),
    }),
    sha256: hash('sha256', der),
    pem: encodePem(certificate ? 'CERTIFICATE' : 'PUBLIC KEY', der),
    settings: { ...standingSettings(row) },
    createdAt: timeText(row.created_at),
  };
}
