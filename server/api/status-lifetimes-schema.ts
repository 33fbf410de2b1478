import { Type } from 'typebox';

import {
  DEFAULT_STATUS_LIFETIMES,
  STATUS_LIFETIME_BOUNDS,
  type StatusLifetimes,
} from '../../core/authority/status-lifetimes.ts';

const DESCRIPTIONS: Readonly<Record<keyof StatusLifetimes, string>> = {
  maxAgeSeconds: 'HTTP caches keep an OCSP answer or a CRL so long at most.',
  ocspSeconds: 'Clients may keep an OCSP answer so long: to its nextUpdate.',
  crlSeconds: 'Clients may keep a delta or a shard so long; the next one is signed when half is left.',
  fullCrlSeconds: 'Clients may keep a full CRL so long.',
};

function seconds(name: keyof StatusLifetimes) {
  const [minimum, maximum] = STATUS_LIFETIME_BOUNDS[name];
  const description = `${DESCRIPTIONS[name]} Usually ${DEFAULT_STATUS_LIFETIMES[name]}.`;
  return Type.Integer({ description, minimum, maximum });
}

/** The members of an authority's lifetimes. */
export const lifetimeMembers = {
  maxAgeSeconds: seconds('maxAgeSeconds'),
  ocspSeconds: seconds('ocspSeconds'),
  crlSeconds: seconds('crlSeconds'),
  fullCrlSeconds: seconds('fullCrlSeconds'),
};

/** The lifetimes of an authority. */
export const lifetimesView = Type.Object(lifetimeMembers);

/** What `PATCH /authorities/{id}/lifetimes` takes: what is left out stays. */
export const lifetimesBody = Type.Partial(Type.Object(lifetimeMembers), {
  additionalProperties: false,
  minProperties: 1,
});
