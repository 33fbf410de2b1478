import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { Attribute } from '../../core/cms/attribute.ts';
import { type DigestAlgorithm, digestAlgorithmOf } from '../../core/cms/digest-algorithm.ts';
import { parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import type { SignedData } from '../../core/cms/signed-data-syntax.ts';
import type { SignedDataFinding, VerifiedSignedData } from '../../core/cms/verify-signed-data.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import {
  type AnsweredAttributes,
  readRequestAttributes,
  readTransaction,
  type RequestAttributes,
} from './attributes.ts';
import type { VerifiedSignature } from './even-work.ts';
import { isSelfMade } from './signer-certificate.ts';
import type { FailInfo } from './vocabulary.ts';

/** Octets of the largest message (SC-41): RSA-16384, a chain and a thousand names fit. */
export const MAX_MESSAGE_OCTETS = 256 * 1024;

/** Digests that need no leave; SHA-1 because half of the devices that are sold know nothing better. */
const DIGESTS: readonly DigestAlgorithm[] = ['sha1', 'sha256', 'sha384', 'sha512', 'shake256-512'];

/** A message as it came: nothing in it is verified. */
export interface ReceivedMessage {
  readonly signedData: SignedData;
  /** What an answer repeats, believed for no other purpose. */
  readonly claimed: AnsweredAttributes;
  /** The digest of the one signer, undefined where it is unknown: what an answer mirrors. */
  readonly digest: DigestAlgorithm | undefined;
}

/** A message whose signature verified with the key of the certificate that it brought. */
export interface VerifiedMessage {
  readonly attributes: RequestAttributes;
  /** The pkcsPKIEnvelope. */
  readonly content: Uint8Array;
  readonly digest: DigestAlgorithm;
  readonly signerCertificate: Uint8Array;
  readonly signerPublicKey: VerifiedSignedData['signerPublicKey'];
  readonly signature: VerifiedSignature;
  /** The signer's first, then the others of the message: hints for a path, nothing else. */
  readonly certificateChain: readonly Uint8Array[];
  /** Whether the signer's certificate is one that it made itself. */
  readonly isSelfMade: boolean;
}

/** What {@link verifyMessage} found. */
export type Verdict =
  | { readonly ok: true; readonly message: VerifiedMessage }
  | { readonly ok: false; readonly failInfo: FailInfo; readonly detail: string };

/**
 * Reads a pkiMessage (RFC 8894 §3). Verifies nothing.
 * @throws PeerError `malformed-request` where it is not one, or where no answer could name its transaction
 */
export function decodeMessage(bytes: Uint8Array): ReceivedMessage {
  if (bytes.length > MAX_MESSAGE_OCTETS) {
    throw new PeerError('too-large', `expected a message of at most ${MAX_MESSAGE_OCTETS} octets`);
  }
  const signedData = asSignedData(bytes);
  const [signer] = signedData.signerInfos;
  const attributes: readonly Attribute[] = signer?.signedAttributes ?? [];
  return {
    signedData,
    claimed: readTransaction(attributes),
    digest: signer && digestAlgorithmOf(signer.digestAlgorithm),
  };
}

/**
 * Verifies the one signature of a message before anything else is looked at (SC-20), and reads what it covers.
 * @throws PeerError `malformed-request` where a signed attribute is missing or wrong
 */
export function verifyMessage({ signedData }: ReceivedMessage, allowMd5: boolean): Verdict {
  const verdict = verifySignedData(signedData, { digests: allowMd5 ? ['md5', ...DIGESTS] : DIGESTS });
  if (!verdict.ok)
    return { ok: false, failInfo: FAIL_INFO_OF[verdict.finding] ?? 'badMessageCheck', detail: verdict.detail };
  const { signerCertificate, signerPublicKey, content, digest, signatureAlgorithm: algorithm } = verdict;
  const { signedAttributesDer = content, signature: octets } = signedData.signerInfos[0]!;
  const others = signedData.certificates.filter((certificate) => certificate !== signerCertificate);
  return {
    ok: true,
    message: {
      attributes: readRequestAttributes(verdict.signedAttributes),
      content,
      digest,
      signerCertificate,
      signerPublicKey,
      signature: { publicKey: signerPublicKey, algorithm, data: signedAttributesDer, octets },
      certificateChain: [signerCertificate, ...others],
      isSelfMade: isSelfMade(signerCertificate),
    },
  };
}

/** What of a verification's findings is about algorithms (RFC 8894 §3.2.1.4: badAlg); the rest is badMessageCheck. */
const FAIL_INFO_OF: Partial<Record<SignedDataFinding, FailInfo>> = {
  'digest-unsupported': 'badAlg',
  'digest-not-accepted': 'badAlg',
  'signature-algorithm-unsupported': 'badAlg',
  'algorithms-inconsistent': 'badAlg',
  'signer-key-unsupported': 'badAlg',
};

function asSignedData(bytes: Uint8Array): SignedData {
  try {
    return parseSignedData(bytes, { maxBytes: MAX_MESSAGE_OCTETS });
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new PeerError('malformed-request', error.message, { cause: error });
  }
}
