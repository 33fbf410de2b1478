import type { AuthorityFacts } from '../guide-facts.ts';

/** A certificate that has to come to the device as a file, to be copied out of the comments. */
export function commentedPem({ pem }: AuthorityFacts, file: string): string[] {
  return [`# Copy these lines to ${file} on the device:`, ...pem.split('\n').map((line) => `#   ${line}`)];
}
