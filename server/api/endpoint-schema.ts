import { type Static, type TSchema, Type } from 'typebox';
import { type AcmeSettings, OPEN_ACME } from '../../core/enrollment/acme-settings.ts';
import { type CmpSettings, OPEN_CMP } from '../../core/enrollment/cmp-settings.ts';
import {
  ATTESTATION_AUTHENTICATORS,
  ATTESTATION_SERVICES,
  OPEN_ATTESTATION,
} from '../../core/enrollment/attestation-settings.ts';
import {
  type AdapterSettings,
  type BatchSettings,
  EST_AUTHENTICATORS,
  type EndpointSettings,
  type EstSettings,
} from '../../core/enrollment/endpoint.ts';
import { OPEN_SCEP } from '../../core/enrollment/scep-settings.ts';
import { attestationChanges, attestationView, changedAttestation } from './attestation-policy-schema.ts';
import { acmeMembers, optionalAcmeMembers } from './acme-settings-schema.ts';
import { cmpMembers, optionalCmpMembers } from './cmp-settings-schema.ts';
import { scepMembers } from './scep-settings-schema.ts';

const members = { additionalProperties: false } as const;

const estMembers = {
  authenticators: Type.Array(Type.Enum(EST_AUTHENTICATORS, { description: 'A kind of proof.' }), {
    description: 'Which proofs of who asks are accepted.',
    uniqueItems: true,
  }),
  channelBinding: Type.Enum(['optional', 'required'], { description: 'Proof-of-possession linking (RFC 7030 §3.5).' }),
  wrapping: Type.Enum(['auto', 'columns-64', 'none'], {
    description: 'Line length of base64 answers; `auto` goes by the User-Agent.',
  }),
  serverKeyGeneration: Type.Boolean({ description: 'Whether the server may make key pairs (RFC 7030 §4.4).' }),
  csrAttributes: Type.Enum(['none', 'attributes', 'template'], { description: 'What GET /csrattrs answers.' }),
};

const optionalEstMembers = {
  freshness: Type.Optional(
    Type.Enum(['nonce', 'exporter'], {
      description: 'Evidence holds a nonce asked for at /nonce, or one derived from the TLS 1.3 connection.',
    }),
  ),
};

/** The members of the attestation front door's settings on an endpoint. */
const attestationDoorMembers = {
  authenticators: Type.Array(Type.Enum(ATTESTATION_AUTHENTICATORS, { description: 'A kind of proof.' }), {
    description: 'Which proofs of who asks are accepted.',
    uniqueItems: true,
  }),
  services: Type.Array(Type.Enum(ATTESTATION_SERVICES, { description: 'Something the front door does.' }), {
    description: 'Certificates of attestation keys, tickets for other protocols, certificates of Matter devices.',
    uniqueItems: true,
  }),
  ticketLifetimeSeconds: Type.Integer({ description: 'How long a ticket is good.', minimum: 30, maximum: 86_400 }),
  requestsPerMinute: Type.Integer({
    description: 'Requests of one address before more are refused; 0: no limit.',
    minimum: 0,
    maximum: 1_000_000,
  }),
};

const batchMembers = {
  authenticators: Type.Array(Type.Literal('batch'), { description: 'An operator hands the requests in.', minItems: 1 }),
};

const adapterMembers = {
  authenticators: Type.Array(Type.Literal('adapter'), {
    description: 'Plans bring requests that they read from devices.',
    minItems: 1,
  }),
};

/** The adapters' door when it is opened without saying more. */
const OPEN_ADAPTER: AdapterSettings = { authenticators: ['adapter'] };

/** Batches when they are opened without saying more. */
const OPEN_BATCH: BatchSettings = { authenticators: ['batch'] };

const admissionRule = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 63 }),
    rule: Type.String({ description: 'A CEL expression that must yield true.', minLength: 1, maxLength: 4_096 }),
    message: Type.Optional(Type.String({ maxLength: 200 })),
  },
  members,
);

const approval = Type.Union(
  [
    Type.Literal('automatic'),
    Type.Literal('manual'),
    Type.Object({ when: Type.String({ description: 'A CEL expression.', minLength: 1, maxLength: 4_096 }) }, members),
  ],
  { description: 'Who approves: nobody, an operator, or an operator when the expression yields true.' },
);

const settingsMembers = {
  admission: Type.Array(admissionRule, { maxItems: 50 }),
  approval,
  registrationAuthorities: Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), {
    description: 'SHA-256 fingerprints of certificates that act as registration authorities.',
    maxItems: 1_000,
  }),
  retryAfterSeconds: Type.Integer({
    description: 'Told to a device whose enrolment waits.',
    minimum: 1,
    maximum: 172_800,
  }),
  pendingLifetimeSeconds: Type.Integer({
    description: 'An enrolment waits for its operator this long.',
    minimum: 60,
    maximum: 31_536_000,
  }),
};

const decider = Type.Object(
  {
    url: Type.String({
      description: 'https, or http to a loopback address; asked by a signed POST.',
      minLength: 1,
      maxLength: 2_048,
    }),
  },
  { ...members, description: 'The service that the authenticator `webhook` asks.' },
);

const renewalWindowSeconds = Type.Integer({
  description: 'Before notAfter, from which on renewal is granted; absent: at any time.',
  minimum: 0,
});

/** An endpoint as the API shows it. */
export const endpointView = Type.Object({
  id: Type.String(),
  label: Type.String(),
  profile: Type.String(),
  authority: Type.String(),
  revision: Type.Integer({ description: 'Counts changes; also the ETag.' }),
  isDefault: Type.Boolean(),
  protocols: Type.Object({
    est: Type.Optional(Type.Object({ ...estMembers, ...optionalEstMembers })),
    scep: Type.Optional(Type.Object(scepMembers)),
    cmp: Type.Optional(Type.Object({ ...cmpMembers, ...Type.Partial(Type.Object(optionalCmpMembers)).properties })),
    attestation: Type.Optional(Type.Object(attestationDoorMembers)),
    batch: Type.Optional(Type.Object(batchMembers)),
    adapter: Type.Optional(Type.Object(adapterMembers)),
    acme: Type.Optional(Type.Object({ ...acmeMembers, ...Type.Partial(Type.Object(optionalAcmeMembers)).properties })),
  }),
  attestation: attestationView,
  ...settingsMembers,
  decider: Type.Optional(decider),
  renewalWindowSeconds: Type.Optional(renewalWindowSeconds),
});

export type EndpointView = Static<typeof endpointView>;

const nullable = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

const acmeChanges = Type.Object(
  {
    ...Type.Partial(Type.Object(acmeMembers)).properties,
    termsOfService: nullable(optionalAcmeMembers.termsOfService),
    website: nullable(optionalAcmeMembers.website),
    renewIssuedBefore: nullable(optionalAcmeMembers.renewIssuedBefore),
    renewalExplanation: nullable(optionalAcmeMembers.renewalExplanation),
  },
  members,
);

const cmpChanges = Type.Object(
  { ...Type.Partial(Type.Object(cmpMembers)).properties, nonceTypes: nullable(optionalCmpMembers.nonceTypes) },
  members,
);

/** Changes to an endpoint's settings (RFC 7396): absent stays, null closes a protocol or lifts a limit. */
export const endpointChanges = Type.Object(
  {
    profile: Type.Optional(
      Type.String({
        description: 'Name or id; of a new endpoint by default the oldest profile of the tenant.',
        minLength: 1,
        maxLength: 64,
      }),
    ),
    authority: Type.Optional(
      Type.String({
        description: 'Name or id; of a new endpoint by default the newest active issuing authority of the tenant.',
        minLength: 1,
        maxLength: 64,
      }),
    ),
    protocols: Type.Optional(
      Type.Object(
        {
          est: Type.Optional(
            Type.Union([Type.Partial(Type.Object({ ...estMembers, ...optionalEstMembers }, members)), Type.Null()]),
          ),
          scep: Type.Optional(Type.Union([Type.Partial(Type.Object(scepMembers, members)), Type.Null()])),
          cmp: Type.Optional(Type.Union([cmpChanges, Type.Null()])),
          acme: Type.Optional(Type.Union([acmeChanges, Type.Null()])),
          batch: Type.Optional(Type.Union([Type.Partial(Type.Object(batchMembers, members)), Type.Null()])),
          adapter: Type.Optional(Type.Union([Type.Partial(Type.Object(adapterMembers, members)), Type.Null()])),
          attestation: Type.Optional(
            Type.Union([Type.Partial(Type.Object(attestationDoorMembers, members)), Type.Null()]),
          ),
        },
        members,
      ),
    ),
    attestation: Type.Optional(attestationChanges),
    admission: Type.Optional(settingsMembers.admission),
    approval: Type.Optional(settingsMembers.approval),
    registrationAuthorities: Type.Optional(settingsMembers.registrationAuthorities),
    retryAfterSeconds: Type.Optional(settingsMembers.retryAfterSeconds),
    pendingLifetimeSeconds: Type.Optional(settingsMembers.pendingLifetimeSeconds),
    renewalWindowSeconds: Type.Optional(Type.Union([renewalWindowSeconds, Type.Null()])),
    decider: Type.Optional(Type.Union([decider, Type.Null()])),
  },
  members,
);
export type EndpointChanges = Static<typeof endpointChanges>;

/** A new endpoint: its label, and what shall differ from the defaults. */
export const endpointDraft = Type.Object(
  {
    label: Type.String({ description: 'Unique in the installation; a path segment.', pattern: '^[a-z0-9-]{1,63}$' }),
    ...endpointChanges.properties,
  },
  members,
);

/** A new endpoint before anything is opened: closed for every protocol. */
export const CLOSED_ENDPOINT: EndpointSettings = {
  protocols: {},
  attestation: 'off',
  admission: [],
  approval: 'automatic',
  registrationAuthorities: [],
  retryAfterSeconds: 60,
  pendingLifetimeSeconds: 7 * 86_400,
};

/** EST when it is opened without saying more: one-time secrets for the first certificate, certificates afterwards. */
const openEst: EstSettings = {
  authenticators: ['password', 'certificate'],
  channelBinding: 'optional',
  wrapping: 'auto',
  serverKeyGeneration: false,
  csrAttributes: 'none',
};

/** The settings after changes. */
export function changedSettings(
  before: EndpointSettings,
  changes: Omit<EndpointChanges, 'profile' | 'authority'>,
): EndpointSettings {
  const { protocols, renewalWindowSeconds: window, decider: newDecider, admission, attestation, ...rest } = changes;
  const { protocols: open, renewalWindowSeconds: oldWindow, decider: oldDecider, ...kept } = before;
  return {
    ...kept,
    ...rest,
    admission: admission ?? kept.admission,
    attestation: changedAttestation(kept.attestation, attestation),
    protocols: {
      ...member('est', merged(open.est, protocols?.est, openEst)),
      ...member('scep', merged(open.scep, protocols?.scep, OPEN_SCEP)),
      ...member('cmp', mergedCmp(open.cmp, protocols?.cmp)),
      ...member('acme', mergedAcme(open.acme, protocols?.acme)),
      ...member('attestation', merged(open.attestation, protocols?.attestation, OPEN_ATTESTATION)),
      ...member('batch', merged(open.batch, protocols?.batch, OPEN_BATCH)),
      ...member('adapter', merged(open.adapter, protocols?.adapter, OPEN_ADAPTER)),
    },
    ...member('renewalWindowSeconds', window === undefined ? oldWindow : window),
    ...member('decider', newDecider === undefined ? oldDecider : newDecider),
  };
}

/** RFC 7396: absent stays, null closes, members replace those of what is open, or of what opening means. */
function merged<S extends object>(open: S | undefined, change: Partial<S> | null | undefined, opened: S) {
  if (change === undefined) return open;
  return change && { ...(open ?? opened), ...change };
}

/** As {@link merged}, but null takes a member away that may be absent. */
function mergedCmp(open: CmpSettings | undefined, change: Static<typeof cmpChanges> | null | undefined) {
  if (change === undefined || change === null) return change === null ? null : open;
  const { nonceTypes = open?.nonceTypes, ...rest } = change;
  const { nonceTypes: _types, ...kept } = open ?? OPEN_CMP;
  return { ...kept, ...rest, ...member('nonceTypes', nonceTypes) };
}

/** As {@link mergedCmp}. */
function mergedAcme(open: AcmeSettings | undefined, change: Static<typeof acmeChanges> | null | undefined) {
  if (change === undefined || change === null) return change === null ? null : open;
  const {
    termsOfService = open?.termsOfService,
    website = open?.website,
    renewIssuedBefore = open?.renewIssuedBefore,
    renewalExplanation = open?.renewalExplanation,
    ...rest
  } = change;
  const { termsOfService: _terms, website: _website, renewIssuedBefore: _before, ...kept } = open ?? OPEN_ACME;
  const { renewalExplanation: _explanation, ...always } = kept;
  return {
    ...always,
    ...rest,
    ...member('termsOfService', termsOfService),
    ...member('website', website),
    ...member('renewIssuedBefore', renewIssuedBefore),
    ...member('renewalExplanation', renewalExplanation),
  };
}

function member<K extends string, V>(name: K, value: V | null | undefined): { readonly [N in K]?: V } {
  return value === null || value === undefined ? {} : ({ [name]: value } as { readonly [N in K]: V });
}
