import { type Door, type GuideFacts, isSame } from '../guide-facts.ts';
import { type Platform, TYPED } from '../platform.ts';

/** A device that is not of the list: the values, and the certificates to load. */
export const any: Platform = {
  name: 'any',
  title: 'any device',
  comment: '#',
  asks: false,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: {
    est: { basis: 'values', keys: 'any', lines: estValues },
    scep: { basis: 'values', keys: 'any', lines: (_facts, { url }) => [`server URL      ${url}`] },
    cmp: { basis: 'values', keys: 'any', lines: (_facts, { url }) => [`server URL      ${url}`] },
    acme: { basis: 'values', keys: 'any', lines: (_facts, { url }) => [`directory URL   ${url}`] },
  },
  closing: (facts) => [...evidenceValues(facts), ...certificates(facts)],
};

function estValues({ label, isDefault }: GuideFacts, { url }: Door): string[] {
  const { hostname, port } = new URL(url);
  return [
    `server          ${hostname}`,
    `port            ${port || '443'}`,
    `label           ${label}${isDefault ? ' (or none)' : ''}`,
    `base URL        ${url}`,
  ];
}

function evidenceValues({ evidence: { nonce, frontDoor } }: GuideFacts): string[] {
  if (nonce === undefined && frontDoor === undefined) return [];
  return [
    '# --- Attestation',
    ...(nonce === undefined ? [] : [`nonce URL       ${nonce}`]),
    ...(frontDoor === undefined ? [] : [`front door      ${frontDoor}`]),
  ];
}

function certificates({ issuing, root, tlsRoot }: GuideFacts): string[] {
  return [
    '# --- Certificates',
    '# Issuing CA:',
    issuing.pem,
    ...(isSame(root, issuing) ? [] : ['# Root CA:', root.pem]),
    ...(isSame(tlsRoot, root) ? [] : ["# Root of the server's TLS:", tlsRoot.pem]),
  ];
}
