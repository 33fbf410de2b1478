import { distributionPointsAt } from '../x509/distribution-points.ts';
import { EXTENSIONS, type Extension } from '../x509/extensions.ts';
import { keyIdentifier } from '../x509/public-key.ts';
import type { CrlOrder } from './crl-building.ts';
import { crlFrame } from './crl-encoding.ts';
import type { Issuer } from './directory.ts';

/** A list of an authority: everything, what changed since a complete list, or one shard. */
export type CrlScope =
  | { readonly kind: 'full' }
  | { readonly kind: 'delta'; readonly base: { readonly number: number; readonly covers: number } }
  | { readonly kind: 'shard'; readonly shard: number };

/** What a CRL is to say. */
export interface CrlContents {
  readonly issuer: Issuer;
  readonly scope: CrlScope;
  readonly number: number;
  /** Epoch milliseconds, whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Certificates that ended before this have stood on a regular CRL since then (RFC 5280 §5.2.4). */
  readonly endedAfter: number;
}

/** Everything of a CRL but its entries, and which those are. */
export function crlOrder({ issuer, scope, number, thisUpdate, nextUpdate, endedAfter }: CrlContents): CrlOrder {
  const frame = crlFrame({
    signatureAlgorithm: issuer.signatureAlgorithm,
    issuer: issuer.subject,
    thisUpdate: new Date(thisUpdate),
    nextUpdate: new Date(nextUpdate),
    extensions: [
      EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
      EXTENSIONS.crlNumber.encode(BigInt(number)),
      ...scopeExtensions(issuer, scope),
    ],
  });
  const selection = {
    authority: issuer.id,
    shard: scope.kind === 'shard' ? scope.shard : undefined,
    changedAfter: scope.kind === 'delta' ? scope.base.covers : undefined,
    endedAfter,
  };
  return { frame, selection };
}

/** The URL of the delta, beside the CRLs that certificates point to. */
function deltaUrl({ urls }: Issuer): string {
  return urls.crl.includes('{shard}') ? urls.crl.replace('{shard}', 'delta') : urls.crl.replace(/\.crl$/, '/delta.crl');
}

function scopeExtensions(issuer: Issuer, scope: CrlScope): Extension[] {
  switch (scope.kind) {
    case 'full':
      // RFC 5280 §5.2.6: where the delta of this CRL is.
      return [EXTENSIONS.freshestCRL.encode(distributionPointsAt([deltaUrl(issuer)]))];
    case 'delta':
      return [EXTENSIONS.deltaCRLIndicator.encode(BigInt(scope.base.number))];
    case 'shard':
      return [EXTENSIONS.issuingDistributionPoint.encode(shardOf(issuer, scope.shard))];
  }
}

/** RFC 5280 §5.2.5: the name must be the one in the certificates' cRLDistributionPoints; without a flag it covers all kinds. */
function shardOf({ urls }: Issuer, shard: number): Parameters<typeof EXTENSIONS.issuingDistributionPoint.encode>[0] {
  const value = urls.crl.replace('{shard}', String(shard));
  return {
    distributionPoint: { kind: 'fullName', value: [{ kind: 'uri', value }] },
    onlyContainsUserCerts: false,
    onlyContainsCACerts: false,
    indirectCRL: false,
    onlyContainsAttributeCerts: false,
  };
}
