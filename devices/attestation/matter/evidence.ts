import { cborBytes, CborError, cborMap, type CborMap, decodeCbor } from '../cbor.ts';
import { EvidenceFault } from '../findings.ts';

/** What a commissioner or gateway forwards of one session with a device. */
export interface MatterEvidence {
  /** DER. */
  readonly dac: Uint8Array;
  readonly pai: Uint8Array;
  /** The attestation challenge of the session, 16 octets: both signatures cover it. */
  readonly challenge: Uint8Array;
  readonly nocsr: SignedElements;
  readonly attestation: SignedElements | undefined;
}

/** Elements as the device sent them, TLV, and its signature over them and the challenge, r ‖ s. */
export interface SignedElements {
  readonly elements: Uint8Array;
  readonly signature: Uint8Array;
}

const CHALLENGE_OCTETS = 16;
const KEYS: ReadonlySet<unknown> = new Set([
  'dac',
  'pai',
  'challenge',
  'nocsr',
  'nocsrSignature',
  'elements',
  'elementsSignature',
]);

/**
 * Decodes evidence of type `matter-dac`: a CBOR map of byte strings `dac`, `pai`, `challenge`, `nocsr`, `nocsrSignature` and,
 * both or neither, `elements`, `elementsSignature`. @throws EvidenceFault `dac-evidence-malformed`
 */
export function decodeMatterEvidence(octets: Uint8Array): MatterEvidence {
  try {
    return evidenceOf(cborMap(decodeCbor(octets, { limits: { maxDepth: 1, maxItems: 32 } }), 'the evidence'));
  } catch (error) {
    if (error instanceof CborError) throw new EvidenceFault('dac-evidence-malformed', error.message, { cause: error });
    throw error;
  }
}

function evidenceOf(map: CborMap): MatterEvidence {
  const unknown = [...map.keys()].find((key) => !KEYS.has(key));
  if (unknown !== undefined) throw new CborError('no other member', String(unknown).slice(0, 32));
  const challenge = cborBytes(map.get('challenge'), 'challenge');
  if (challenge.length !== CHALLENGE_OCTETS) {
    throw new CborError(`a challenge of ${CHALLENGE_OCTETS} octets`, `${challenge.length}`);
  }
  const hasAttestation = map.has('elements') || map.has('elementsSignature');
  return {
    dac: cborBytes(map.get('dac'), 'dac'),
    pai: cborBytes(map.get('pai'), 'pai'),
    challenge,
    nocsr: signedElements(map, 'nocsr', 'nocsrSignature'),
    attestation: hasAttestation ? signedElements(map, 'elements', 'elementsSignature') : undefined,
  };
}

function signedElements(map: CborMap, elements: string, signature: string): SignedElements {
  return {
    elements: cborBytes(map.get(elements), elements),
    signature: cborBytes(map.get(signature), signature),
  };
}
