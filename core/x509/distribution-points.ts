import {
  boolean,
  choice,
  defaulted,
  explicit,
  implicit,
  type Infer,
  namedBits,
  oid,
  optional,
  sequence,
  sequenceOf,
} from '../asn1/schema.ts';
import { generalNameSchema, generalNamesSchema } from './general-name.ts';
import { relativeDistinguishedNameSchema } from './name.ts';

/** ReasonFlags (RFC 5280 §4.2.1.13): which revocation reasons a CRL covers. */
const reasonFlags = namedBits({
  unused: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 7,
  aACompromise: 8,
});

const distributionPointName = choice('DistributionPointName', {
  fullName: implicit(0, generalNamesSchema),
  nameRelativeToCRLIssuer: implicit(1, relativeDistinguishedNameSchema),
});

/** cRLDistributionPoints and freshestCRL (RFC 5280 §4.2.1.13, §4.2.1.15). */
export const distributionPointsSchema = sequenceOf(
  sequence('DistributionPoint', {
    distributionPoint: optional(explicit(0, distributionPointName)),
    reasons: optional(implicit(1, reasonFlags)),
    cRLIssuer: optional(implicit(2, generalNamesSchema)),
  }),
  { min: 1 },
);

/** issuingDistributionPoint (RFC 5280 §5.2.5): the scope of a CRL. */
export const issuingDistributionPointSchema = sequence('IssuingDistributionPoint', {
  distributionPoint: optional(explicit(0, distributionPointName)),
  onlyContainsUserCerts: defaulted(implicit(1, boolean), false),
  onlyContainsCACerts: defaulted(implicit(2, boolean), false),
  onlySomeReasons: optional(implicit(3, reasonFlags)),
  indirectCRL: defaulted(implicit(4, boolean), false),
  onlyContainsAttributeCerts: defaulted(implicit(5, boolean), false),
});

/** authorityInfoAccess and subjectInfoAccess (RFC 5280 §4.2.2). */
export const infoAccessSchema = sequenceOf(
  sequence('AccessDescription', { accessMethod: oid, accessLocation: generalNameSchema }),
  { min: 1 },
);

/** Where the CRLs of a certificate are. */
export type DistributionPoints = Infer<typeof distributionPointsSchema>;

/** The distribution points for CRLs at these URLs, one point a URL: the form every client understands. */
export function distributionPointsAt(urls: readonly string[]): DistributionPoints {
  return urls.map((value) => ({ distributionPoint: { kind: 'fullName', value: [{ kind: 'uri', value }] } }));
}

/** The URLs among distribution points. */
export function distributionPointUrls(points: DistributionPoints): string[] {
  return points.flatMap(({ distributionPoint }) =>
    distributionPoint?.kind === 'fullName'
      ? distributionPoint.value.flatMap((name) => (name.kind === 'uri' ? [name.value] : []))
      : [],
  );
}
