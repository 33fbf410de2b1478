import { basicConstraints } from './basic-constraints.ts';
import { extendedKeyUsage } from './extended-key-usage.ts';
import { extensionSet } from './extension-set.ts';
import { issuerName } from './issuer-name.ts';
import { keyIdentifiers } from './key-identifiers.ts';
import { keyUsage } from './key-usage.ts';
import { profileKey } from './profile-key.ts';
import { profileNames } from './profile-names.ts';
import { profileValidity } from './profile-validity.ts';
import { serialNumber } from './serial-number.ts';
import { subjectAltName } from './subject-alt-name.ts';
import { subjectAttributes } from './subject-attributes.ts';
import { subjectOrAlternative } from './subject-or-alternative.ts';
import { validity } from './validity.ts';
import type { LintRule } from './rule.ts';

/** Every rule a certificate must pass before it is signed: RFC 5280 first, then the profile's own. */
export const LINT_RULES: readonly LintRule[] = [
  serialNumber,
  validity,
  issuerName,
  subjectOrAlternative,
  subjectAttributes,
  keyIdentifiers,
  basicConstraints,
  keyUsage,
  extendedKeyUsage,
  subjectAltName,
  extensionSet,
  profileNames,
  profileKey,
  profileValidity,
];
