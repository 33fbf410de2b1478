import type { FingerprintForm } from './fingerprints.ts';
import type { Door, GuideFacts, GuideProtocol } from './guide-facts.ts';
import type { PlatformName } from './platform-names.ts';

/** What a section's lines rest on, as its reader is told. */
export const BASES = {
  executed: 'these lines are run against Muster by its tests (Debian 12)',
  manual: "the program's manual page and help; not run by Muster's tests",
  transcripts:
    "transcripts and test suites of people who ran them on the platform; not run on a device by Muster's tests",
  documents: "the vendor's public documents; not run on a device by Muster's tests",
  values: 'the values alone: where they go is for the device’s own manual to say',
} as const;
export type Basis = keyof typeof BASES;

/** How a platform enrols by one protocol. */
export interface Section {
  readonly basis: Basis;
  /** `rsa`: its lines ask for an RSA key, so that the profile has to certify those. */
  readonly keys: 'rsa' | 'any';
  /** Why else it cannot be done at this endpoint; undefined where it can. */
  obstacle?(facts: GuideFacts): string | undefined;
  /** Lines to type or to paste, with comments of the platform's own kind between them. Pure. */
  lines(facts: GuideFacts, door: Door): readonly string[];
}

/** One kind of device: data about it, and its own words. */
export interface Platform {
  readonly name: PlatformName;
  /** With the releases the lines are for. */
  readonly title: string;
  /** What a comment line begins with. */
  readonly comment: '!' | '#';
  /** Whether it asks questions between the lines, so that they cannot be pasted at once. */
  readonly asks: boolean;
  /** What its lines have in place of the device's name and of secrets: no guide ever holds one. */
  readonly placeholders: Placeholders;
  /** How it prints fingerprints. */
  readonly fingerprints: FingerprintForm;
  /** The protocols it is a client of, as far as is known. */
  readonly sections: Readonly<Partial<Record<GuideProtocol, Section>>>;
  /** A request carried by hand, for what has no client of an open protocol. */
  /** Lines at the end, whatever came before. */
  closing?(facts: GuideFacts): readonly string[];
  readonly byHand?: { readonly basis: Basis; lines(facts: GuideFacts): readonly string[] };
}

/** What stands for what the owner of a device has to fill in. */
export interface Placeholders {
  readonly device: string;
  readonly secret: string;
  /** The reference that goes with a MAC secret or an EAB key. */
  readonly reference: string;
}

/** In lines that are typed. */
export const DEVICE = '<DEVICE>';
export const SECRET = '<SECRET>';
export const REFERENCE = '<REFERENCE>';
export const TYPED: Placeholders = { device: DEVICE, secret: SECRET, reference: REFERENCE };
