import { BODY_TAGS, type BodyKind } from './cmp-message.ts';
import { isMacOf, type MacSecret } from './cmp-protection.ts';
import {
  bitsOf,
  childWith,
  inContext,
  numberOf,
  oidOf,
  readCertificate,
  readDer,
  timeOf,
  type Tlv,
  UnreadableAnswer,
} from './cmp-reader.ts';
import { sequence } from './cmp-der.ts';
import { isSignedBy } from './cmp-signatures.ts';

/** The bits of PKIFailureInfo in their order (RFC 9810 §5.2.3). */
export const FAILURES = [
  'badAlg',
  'badMessageCheck',
  'badRequest',
  'badTime',
  'badCertId',
  'badDataFormat',
  'wrongAuthority',
  'incorrectData',
  'missingTimeStamp',
  'badPOP',
  'certRevoked',
  'certConfirmed',
  'wrongIntegrity',
  'badRecipientNonce',
  'timeNotAvailable',
  'unacceptedPolicy',
  'unacceptedExtension',
  'addInfoNotAvailable',
  'badSenderNonce',
  'badCertTemplate',
  'signerNotTrusted',
  'transactionIdInUse',
  'unsupportedVersion',
  'notAuthorized',
  'systemUnavail',
  'systemFailure',
  'duplicateCertReq',
] as const;

/** A bit of PKIFailureInfo. */
export type Failure = (typeof FAILURES)[number];

/** The values of PKIStatus in their order. */
const STATUSES = [
  'accepted',
  'grantedWithMods',
  'rejection',
  'waiting',
  'revocationWarning',
  'revocationNotification',
  'keyUpdateWarning',
] as const;

/** PKIStatusInfo. */
export interface StatusInfo {
  readonly status: (typeof STATUSES)[number];
  readonly text: string;
  readonly failures: readonly Failure[];
}

/** The header of an answer; names and algorithms as DER. */
export interface AnswerHeader {
  readonly pvno: number;
  readonly sender: Tlv;
  readonly recipient: Tlv;
  readonly messageTime: Date | undefined;
  readonly protectionAlg: Tlv | undefined;
  readonly senderKID: Buffer | undefined;
  readonly transactionID: Buffer | undefined;
  readonly senderNonce: Buffer | undefined;
  readonly recipNonce: Buffer | undefined;
  /** Dotted OID to the value, undefined where there is none. */
  readonly generalInfo: ReadonlyMap<string, Tlv | undefined>;
}

/** One answer to a certificate request. */
export interface CertResponse {
  readonly certReqId: number;
  readonly status: StatusInfo;
  readonly certificate: Buffer | undefined;
  /** EnvelopedData of a certificate (indirect proof of possession). */
  readonly encryptedCertificate: Buffer | undefined;
  /** EnvelopedData of a key made by the server. */
  readonly privateKey: Buffer | undefined;
}

/** A PKIMessage as it came back. */
export class CmpResponse {
  readonly der: Buffer;
  readonly header: AnswerHeader;
  readonly kind: BodyKind;
  readonly content: Tlv;
  readonly extraCerts: readonly Buffer[];
  readonly #protectedPart: Buffer;
  readonly #protection: Buffer | undefined;

  constructor(der: Uint8Array) {
    const message = readDer(der);
    // The tags of the body overlap those of what follows it.
    const [header, body, ...rest] = message.children;
    const kind = (Object.keys(BODY_TAGS) as BodyKind[]).find((name) => BODY_TAGS[name] === body!.identifier - 0xa0);
    if (kind === undefined) throw new UnreadableAnswer(`no PKIBody has the identifier ${body!.identifier}`);
    this.der = message.der;
    this.header = readHeader(header!);
    this.kind = kind;
    this.content = body!.children[0]!;
    this.#protectedPart = sequence(header!.der, body!.der);
    this.#protection = rest.find(({ identifier }) => identifier === 0xa0)?.children[0]!.contents.subarray(1);
    this.extraCerts = (rest.find(({ identifier }) => identifier === 0xa1)?.children[0]!.children ?? []).map(
      (certificate) => certificate.der,
    );
  }

  /** What protects it, by the look of its algorithm. */
  get protectedBy(): 'mac' | 'signature' | 'nothing' {
    if (this.#protection === undefined || this.header.protectionAlg === undefined) return 'nothing';
    return MACS.has(oidOf(this.header.protectionAlg.children[0]!)) ? 'mac' : 'signature';
  }

  /** Whether the protection is a MAC of this secret. */
  isProtectedWith(secret: MacSecret): boolean {
    const { protectionAlg } = this.header;
    if (protectionAlg === undefined || this.#protection === undefined) return false;
    return isMacOf(secret, protectionAlg, this.#protectedPart, this.#protection);
  }

  /** Whether the protection is a signature by the key of the first extra certificate, and that is the sender's. */
  isSignedByFirstExtraCert(): boolean {
    const { protectionAlg, sender, senderKID } = this.header;
    const [first] = this.extraCerts;
    if (protectionAlg === undefined || this.#protection === undefined || first === undefined) return false;
    const { subject, publicKey, subjectKeyIdentifier } = readCertificate(first);
    const isSender =
      sender.children[0]?.der.equals(subject) && (senderKID ?? empty).equals(subjectKeyIdentifier ?? empty);
    return isSender === true && isSignedBy(publicKey, protectionAlg.der, this.#protectedPart, this.#protection);
  }

  /** The answers of ip, cp, kup. */
  get certResponses(): readonly CertResponse[] {
    if (!['ip', 'cp', 'kup', 'ccp'].includes(this.kind)) return [];
    return this.content.children.at(-1)!.children.map(readCertResponse);
  }

  /** The caPubs of ip, cp, kup. */
  get caPubs(): readonly Buffer[] {
    return (inContext(this.content, 1)?.children ?? []).map(({ der }) => der);
  }

  /** The one status of an error, of a certificate response, or of a revocation. */
  get status(): StatusInfo | undefined {
    if (this.kind === 'error') return readStatus(this.content.children[0]!);
    if (this.kind === 'rp') return this.statuses[0];
    return this.certResponses[0]?.status;
  }

  /** The statuses of rp. */
  get statuses(): readonly StatusInfo[] {
    return this.kind === 'rp' ? this.content.children[0]!.children.map(readStatus) : [];
  }

  /** The certificate that was issued. */
  get certificate(): Buffer {
    const certificate = this.certResponses[0]?.certificate;
    if (certificate === undefined) throw new UnreadableAnswer(`no certificate: ${this.summary}`);
    return certificate;
  }

  /** Seconds to wait, of pollRep. */
  get checkAfter(): number | undefined {
    return this.kind === 'pollRep' ? numberOf(this.content.children[0]!.children[1]!) : undefined;
  }

  /** The InfoTypeAndValues of genp. */
  get infos(): ReadonlyMap<string, Tlv | undefined> {
    return this.kind === 'genp' ? infosOf(this.content) : new Map();
  }

  /** The messages of nested. */
  get inner(): readonly CmpResponse[] {
    return this.kind === 'nested' ? this.content.children.map(({ der }) => new CmpResponse(der)) : [];
  }

  /** Body, status, failInfo and text in a line, for what a failed expectation prints. */
  get summary(): string {
    const { status, failures, text } = this.status ?? { status: '', failures: [], text: '' };
    return [this.kind, status, failures.join('+'), text && `(${text})`].filter((part) => part !== '').join(' ');
  }
}

const empty = Buffer.alloc(0);

/** protectionAlg of everything that is a MAC: PBM, PBMAC1, HMACs, KMACs, GMACs. */
const MACS: ReadonlySet<string> = new Set([
  '1.2.840.113533.7.66.13',
  '1.2.840.113549.1.5.14',
  '1.3.6.1.5.5.8.1.2',
  ...[7, 8, 9, 10, 11].map((arc) => `1.2.840.113549.2.${arc}`),
  ...[13, 14, 15, 16, 19, 20].map((arc) => `2.16.840.1.101.3.4.2.${arc}`),
  ...[9, 29, 49].map((arc) => `2.16.840.1.101.3.4.1.${arc}`),
]);

function readHeader(header: Tlv): AnswerHeader {
  const [pvno, sender, recipient, ...rest] = header.children;
  // The tags of GeneralName overlap those of the fields behind.
  const field = (number: number): Tlv | undefined =>
    rest.find(({ identifier }) => identifier === (0xa0 | number))?.children[0];
  const time = field(0);
  const infos = field(8);
  return {
    pvno: numberOf(pvno!),
    sender: sender!,
    recipient: recipient!,
    messageTime: time && timeOf(time),
    protectionAlg: field(1),
    senderKID: field(2)?.contents,
    transactionID: field(4)?.contents,
    senderNonce: field(5)?.contents,
    recipNonce: field(6)?.contents,
    generalInfo: infos ? infosOf(infos) : new Map(),
  };
}

const infosOf = ({ children }: Tlv): ReadonlyMap<string, Tlv | undefined> =>
  new Map(children.map((item) => [oidOf(item.children[0]!), item.children[1]]));

function readStatus(tlv: Tlv): StatusInfo {
  const status = STATUSES[numberOf(tlv.children[0]!)];
  if (status === undefined) throw new UnreadableAnswer(`no PKIStatus has the number ${numberOf(tlv.children[0]!)}`);
  const texts = childWith(tlv, 0x30)?.children ?? [];
  const failInfo = childWith(tlv, 0x03);
  return {
    status,
    text: texts.map(({ contents }) => contents.toString('utf8')).join(' '),
    failures: failInfo ? bitsOf(failInfo).map((bit) => FAILURES[bit]!) : [],
  };
}

/** RFC 9810 §5.3.4: CertResponse, CertifiedKeyPair, CertOrEncCert; EncryptedKey with envelopedData alone. */
function readCertResponse({ children: [certReqId, status, pair] }: Tlv): CertResponse {
  const certOrEncCert = pair?.identifier === 0x30 ? pair.children[0] : undefined;
  const envelope = (choice: Tlv | undefined): Buffer | undefined => {
    if (choice === undefined) return undefined;
    if (choice.identifier !== 0xa0) throw new UnreadableAnswer('EncryptedKey is no envelopedData');
    const sequenceTag = Buffer.from(choice.der);
    sequenceTag[0] = 0x30;
    return sequenceTag;
  };
  return {
    certReqId: numberOf(certReqId!),
    status: readStatus(status!),
    certificate: certOrEncCert?.identifier === 0xa0 ? certOrEncCert.children[0]!.der : undefined,
    encryptedCertificate: certOrEncCert?.identifier === 0xa1 ? envelope(certOrEncCert.children[0]) : undefined,
    privateKey: envelope(pair?.children.slice(1).find(({ identifier }) => identifier === 0xa0)?.children[0]),
  };
}
