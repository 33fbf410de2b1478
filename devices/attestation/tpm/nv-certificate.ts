import { EvidenceFault } from '../findings.ts';

/** An EK certificate with its chain header is below 4 kB everywhere; NV areas are sometimes allocated larger. */
const MAX_OCTETS = 16_384;
/** TCG PC Client's header of a stored certificate: tag 0x1001, type 0 (full certificate), UINT16 length. */
const NV_HEADER = [0x10, 0x01, 0x00];
const NV_HEADER_OCTETS = 5;

/**
 * The certificate in what was read from a TPM's NV index: without the header that some vendors put in front and without what
 * the area holds behind it.
 * @throws EvidenceFault `ek-malformed` where no DER SEQUENCE of at most 16 kB is there
 */
export function certificateInNv(contents: Uint8Array): Uint8Array {
  if (contents.length > MAX_OCTETS) throw malformed(`${contents.length} octets`);
  const hasHeader = NV_HEADER.every((octet, index) => contents[index] === octet);
  const der = hasHeader ? contents.subarray(NV_HEADER_OCTETS) : contents;
  const octets = sequenceOctets(der);
  if (octets === undefined || octets > der.length) throw malformed('no whole certificate');
  return der.subarray(0, octets);
}

/** How long the SEQUENCE at the start is, header included. Shorter forms of length do not occur: no certificate is that small. */
function sequenceOctets(der: Uint8Array): number | undefined {
  if (der[0] !== 0x30 || der.length < 4) return undefined;
  if (der[1] === 0x81) return 3 + der[2]!;
  return der[1] === 0x82 ? 4 + der[2]! * 256 + der[3]! : undefined;
}

function malformed(found: string): EvidenceFault {
  return new EvidenceFault('ek-malformed', `NV contents: expected a certificate, found ${found}`);
}
