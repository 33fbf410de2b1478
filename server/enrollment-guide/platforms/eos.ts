import { type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, TYPED } from '../platform.ts';
import { carriedRequest } from './carried-request.ts';

/** EOS: a request by hand, the certificate by file. Of its profiles that enrol by EST no commands are known. */
export const eos: Platform = {
  name: 'eos',
  title: 'Arista EOS',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: {},
  byHand: { basis: 'transcripts', lines: byHandLines },
};

function byHandLines(facts: GuideFacts): string[] {
  return [
    `security pki key generate rsa ${rsaBits(facts)} muster.key`,
    '! It asks for the parts of the subject and for the alternative names, and answers with the request:',
    'security pki certificate generate signing-request key muster.key',
    ...carriedRequest(facts, '!', `${DEVICE}.csr`),
    '! Copy certificate, issuing CA and root to /mnt/flash (scp), then:',
    'copy flash:muster.crt certificate:muster.crt',
    'copy flash:muster-ca.crt certificate:muster-ca.crt',
    'copy flash:muster-root.crt certificate:muster-root.crt',
    'configure',
    'management security',
    '   ssl profile MUSTER',
    '      certificate muster.crt key muster.key',
    '      chain certificate muster-ca.crt',
    '      trust certificate muster-root.crt',
    'end',
    'show management security ssl profile MUSTER',
    'write memory',
  ];
}
