import type { Door, GuideFacts } from '../guide-facts.ts';
import { type Platform, TYPED } from '../platform.ts';
import { trustpointByScep } from './cisco-trustpoint.ts';

/** Classic IOS: SCEP alone. */
export const ios: Platform = {
  name: 'ios',
  title: 'Cisco IOS 15',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'words',
  sections: { scep: { ...trustpointByScep, lines: scepLines } },
};

function scepLines(facts: GuideFacts, door: Door): string[] {
  return [
    '! Old trains know MD5 and DES alone, which are refused unless protocols.scep.legacy is on at this endpoint.',
    ...trustpointByScep.lines(facts, door),
  ];
}
