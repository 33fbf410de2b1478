/** 1 when an octet is zero, otherwise 0, without a branch. */
export function isZero(octet: number): number {
  return ((octet - 1) >>> 31) & 1;
}

/** 0xff when `bit` is 1, 0x00 when it is 0. */
export function mask(bit: number): number {
  return -bit & 0xff;
}

/** A copy of `chosen` when the mask is 0xff, of `otherwise` when it is 0x00; both are read in full. They are of one length. */
export function constantTimeSelect(chosenMask: number, chosen: Uint8Array, otherwise: Uint8Array): Uint8Array {
  const output = new Uint8Array(chosen.length);
  for (let at = 0; at < output.length; at++) {
    output[at] = (chosen[at]! & chosenMask) | (otherwise[at]! & (chosenMask ^ 0xff));
  }
  return output;
}
