import { hash } from 'node:crypto';
import { encodePcrSelection, type PcrSelection } from '../../devices/attestation/tpm/pcr-selection.ts';
import { type PublicArea, parsePublicArea } from '../../devices/attestation/tpm/public-area.ts';
import { tpmPublicKey } from '../../devices/attestation/tpm/tpm-public-key.ts';
import { parseTpmtSignature } from '../../devices/attestation/tpm/tpmt-signature.ts';
import { signatureInX509Form } from '../../devices/attestation/tpm/tpm-signature-verification.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { defaultSignatureAlgorithm, type SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { HANDLE, NO_SENSITIVE, type ResponseReader, send } from './swtpm-commands.ts';
import { SwtpmProcess } from './swtpm-process.ts';
import { hexOctets, joined, sized, u16, u32, u8 } from './tpm-marshal.ts';
import {
  APPLICATION_KEY_ATTRIBUTES,
  ATTESTATION_KEY_ATTRIBUTES,
  ENDORSEMENT_TEMPLATES,
  type EndorsementKeyKind,
  NO_PCRS,
  type SigningKeyOptions,
  signingKeyTemplate,
  STORAGE_ROOT_TEMPLATE,
} from './tpm-templates.ts';

/** A key inside the TPM: its persistent handle, and what the TPM tells of it. */
export interface TpmKey {
  readonly handle: number;
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array;
  readonly area: PublicArea;
  readonly publicKey: SubjectPublicKeyInfo;
  /** TPMS_CREATION_DATA, its digest, and the ticket with which the TPM knows it again. */
  readonly creationData: Uint8Array;
  readonly creationHash: Uint8Array;
  readonly creationTicket: Uint8Array;
}

/** What a signing command of the TPM gives: the TPMS_ATTEST and the TPMT_SIGNATURE over it. */
export interface TpmStatement {
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
}

/** NV indexes of EK certificates (TCG EK Credential Profile §2.2.1.4, §2.2.1.5). */
const EK_CERTIFICATE_INDEX: Readonly<Record<EndorsementKeyKind, number>> = {
  'rsa-2048': 0x01c00002,
  'ec-p256': 0x01c0000a,
  'ec-p384': 0x01c00016,
};
/** TPMA_NV: PPWRITE, PPREAD, OWNERREAD, AUTHREAD, NO_DA, PLATFORMCREATE. */
const EK_NV_ATTRIBUTES = 0x42070001;
const NV_CHUNK = 512;
const FIRST_PERSISTENT = 0x81000001;
const ECDSA_OR_RSASSA = 0x0010;
const HASHCHECK_TICKET = 0x8024;

/**
 * A device with a real TPM 2.0 (swtpm, fresh state). It speaks TPM commands itself; keys become persistent, because the TPM
 * has three places for transient ones.
 */
export class SwtpmDevice implements AsyncDisposable {
  readonly #tpm: SwtpmProcess;
  #storageRoot: TpmKey | undefined;
  #nextHandle = FIRST_PERSISTENT;
  readonly #stored = new Set<number>();

  private constructor(tpm: SwtpmProcess) {
    this.#tpm = tpm;
  }

  static async start(): Promise<SwtpmDevice> {
    return new SwtpmDevice(await SwtpmProcess.start());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tpm[Symbol.asyncDispose]();
  }

  /** The endorsement key of TCG's template. */
  createEndorsementKey(kind: EndorsementKeyKind = 'ec-p256'): Promise<TpmKey> {
    return this.#createPrimary(HANDLE.endorsement, ENDORSEMENT_TEMPLATES[kind]);
  }

  /** A restricted signing key, or what `options` make of it. */
  createAttestationKey(options: SigningKeyOptions = {}): Promise<TpmKey> {
    return this.#createKey(signingKeyTemplate({ attributes: ATTESTATION_KEY_ATTRIBUTES, ...options }));
  }

  /** A signing key for requests and TLS, or what `options` make of it. */
  createApplicationKey(options: SigningKeyOptions = {}): Promise<TpmKey> {
    return this.#createKey(signingKeyTemplate({ attributes: APPLICATION_KEY_ATTRIBUTES, ...options }));
  }

  /** Writes an EK certificate where a manufacturer does, in the place of one that is there. */
  async storeEkCertificate(kind: EndorsementKeyKind, contents: Uint8Array): Promise<void> {
    const index = EK_CERTIFICATE_INDEX[kind];
    if (this.#stored.has(index)) {
      await send(this.#tpm, 'nvUndefineSpace', { handles: [HANDLE.platform, index], sessions: ['password'] });
    }
    this.#stored.add(index);
    const definition = joined(u32(index), u16(0x000b), u32(EK_NV_ATTRIBUTES), u16(0), u16(contents.length));
    await send(this.#tpm, 'nvDefineSpace', {
      handles: [HANDLE.platform],
      sessions: ['password'],
      parameters: joined(u16(0), sized(definition)),
    });
    for (let offset = 0; offset < contents.length; offset += NV_CHUNK) {
      await send(this.#tpm, 'nvWrite', {
        handles: [HANDLE.platform, index],
        sessions: ['password'],
        parameters: joined(sized(contents.subarray(offset, offset + NV_CHUNK)), u16(offset)),
      });
    }
  }

  /** The octets where an EK certificate is kept. */
  async readEkCertificate(kind: EndorsementKeyKind): Promise<Uint8Array> {
    const index = EK_CERTIFICATE_INDEX[kind];
    const described = await send(this.#tpm, 'nvReadPublic', { handles: [index] });
    const size = Buffer.from(described.parameters.sized()).readUInt16BE(12);
    const chunks: Uint8Array[] = [];
    for (let offset = 0; offset < size; offset += NV_CHUNK) {
      const { parameters } = await send(this.#tpm, 'nvRead', {
        handles: [HANDLE.owner, index],
        sessions: ['password'],
        parameters: joined(u16(Math.min(NV_CHUNK, size - offset)), u16(offset)),
      });
      chunks.push(parameters.sized());
    }
    return joined(...chunks);
  }

  /** TPM2_ActivateCredential: the secret, if it was made for this EK and this AK. Both arguments with their size in front. */
  async activateCredential(
    ak: TpmKey,
    ek: TpmKey,
    { credential, secret }: { readonly credential: Uint8Array; readonly secret: Uint8Array },
  ): Promise<Uint8Array> {
    const byPassword = ek.area.attributes.has('userWithAuth');
    const session = byPassword ? 'password' : await this.#endorsementSession();
    try {
      const { parameters } = await send(this.#tpm, 'activateCredential', {
        handles: [ak.handle, ek.handle],
        sessions: ['password', session],
        parameters: joined(credential, secret),
      });
      return parameters.sized();
    } finally {
      if (session !== 'password') await send(this.#tpm, 'flushContext', { parameters: u32(session) });
    }
  }

  /** TPM2_Certify: `ak` says that `key` is in this TPM. */
  async certify(key: TpmKey, ak: TpmKey, qualifyingData: Uint8Array): Promise<TpmStatement> {
    const { parameters } = await send(this.#tpm, 'certify', {
      handles: [key.handle, ak.handle],
      sessions: ['password', 'password'],
      parameters: joined(sized(qualifyingData), u16(ECDSA_OR_RSASSA)),
    });
    return statementOf(parameters);
  }

  /** TPM2_CertifyCreation: `ak` says that this TPM made `key`. */
  async certifyCreation(key: TpmKey, ak: TpmKey, qualifyingData: Uint8Array): Promise<TpmStatement> {
    const { parameters } = await send(this.#tpm, 'certifyCreation', {
      handles: [ak.handle, key.handle],
      sessions: ['password'],
      parameters: joined(sized(qualifyingData), sized(key.creationHash), u16(ECDSA_OR_RSASSA), key.creationTicket),
    });
    return statementOf(parameters);
  }

  /** TPM2_Quote over some PCRs. */
  async quote(ak: TpmKey, selection: PcrSelection, qualifyingData: Uint8Array): Promise<TpmStatement> {
    const { parameters } = await send(this.#tpm, 'quote', {
      handles: [ak.handle],
      sessions: ['password'],
      parameters: joined(sized(qualifyingData), u16(ECDSA_OR_RSASSA), encodePcrSelection(selection)),
    });
    return statementOf(parameters);
  }

  /** The values of some PCRs of one bank, one command each. */
  async readPcrs([bank]: PcrSelection): Promise<Uint8Array[]> {
    const values: Uint8Array[] = [];
    for (const pcr of bank!.pcrs) {
      const selection = encodePcrSelection([{ hash: bank!.hash, pcrs: [pcr] }]);
      const { parameters } = await send(this.#tpm, 'pcrRead', { parameters: selection });
      parameters.skip(4 + selection.length + 4);
      values.push(parameters.sized());
    }
    return values;
  }

  /** TPM2_PCR_Extend of the SHA-256 bank, as firmware does with what it measures. */
  async extendPcr(pcr: number, digest: Uint8Array): Promise<void> {
    await send(this.#tpm, 'pcrExtend', {
      handles: [pcr],
      sessions: ['password'],
      parameters: joined(u32(1), u16(0x000b), digest),
    });
  }

  /** A signature in its X.509 form over `data`, by the algorithm of {@link signatureAlgorithmOf}. */
  async sign(key: TpmKey, data: Uint8Array): Promise<Uint8Array> {
    const digest = hash(signatureHash(key), data, 'buffer');
    const noTicket = joined(u16(HASHCHECK_TICKET), u32(HANDLE.null), u16(0));
    const { parameters } = await send(this.#tpm, 'sign', {
      handles: [key.handle],
      sessions: ['password'],
      parameters: joined(sized(digest), u16(ECDSA_OR_RSASSA), noTicket),
    });
    return signatureInX509Form(parseTpmtSignature(parameters.rest()));
  }

  async #createPrimary(hierarchy: number, template: Uint8Array): Promise<TpmKey> {
    const { handles, parameters } = await send(this.#tpm, 'createPrimary', {
      handles: [hierarchy],
      sessions: ['password'],
      parameters: joined(NO_SENSITIVE, sized(template), u16(0), NO_PCRS),
      returnsHandles: 1,
    });
    return this.#persisted(handles[0]!, parameters.sized(), creationOf(parameters));
  }

  async #createKey(template: Uint8Array): Promise<TpmKey> {
    this.#storageRoot ??= await this.#createPrimary(HANDLE.owner, STORAGE_ROOT_TEMPLATE);
    const created = await send(this.#tpm, 'create', {
      handles: [this.#storageRoot.handle],
      sessions: ['password'],
      parameters: joined(NO_SENSITIVE, sized(template), u16(0), NO_PCRS),
    });
    const privateArea = created.parameters.sized();
    const publicArea = created.parameters.sized();
    const loaded = await send(this.#tpm, 'load', {
      handles: [this.#storageRoot.handle],
      sessions: ['password'],
      parameters: joined(sized(privateArea), sized(publicArea)),
      returnsHandles: 1,
    });
    return this.#persisted(loaded.handles[0]!, publicArea, creationOf(created.parameters));
  }

  async #persisted(transient: number, publicArea: Uint8Array, creation: CreationParts): Promise<TpmKey> {
    const handle = this.#nextHandle++;
    await send(this.#tpm, 'evictControl', {
      handles: [HANDLE.owner, transient],
      sessions: ['password'],
      parameters: u32(handle),
    });
    await send(this.#tpm, 'flushContext', { parameters: u32(transient) });
    const area = parsePublicArea(publicArea);
    return { handle, publicArea, area, publicKey: tpmPublicKey(area), ...creation };
  }

  /** PolicyA of the EK templates: PolicySecret with the endorsement hierarchy, in a session with no key. */
  async #endorsementSession(): Promise<number> {
    const started = await send(this.#tpm, 'startAuthSession', {
      handles: [HANDLE.null, HANDLE.null],
      parameters: joined(sized(new Uint8Array(16)), u16(0), u8(1), hexOctets('0010 000b')),
      returnsHandles: 1,
    });
    const session = started.handles[0]!;
    await send(this.#tpm, 'policySecret', {
      handles: [HANDLE.endorsement, session],
      sessions: ['password'],
      parameters: joined(u16(0), u16(0), u16(0), u32(0)),
    });
    return session;
  }
}

type CreationParts = Pick<TpmKey, 'creationData' | 'creationHash' | 'creationTicket'>;

/** Of TPM2_Create and TPM2_CreatePrimary: creation data, digest, ticket (TPMT_TK_CREATION: tag, hierarchy, TPM2B). */
function creationOf(parameters: ResponseReader): CreationParts {
  const creationData = parameters.sized();
  const creationHash = parameters.sized();
  return { creationData, creationHash, creationTicket: joined(parameters.take(6), sized(parameters.sized())) };
}

function statementOf(parameters: ResponseReader): TpmStatement {
  return { attest: parameters.sized(), signature: parameters.rest() };
}

/** How a key's signatures are called in X.509. */
export function signatureAlgorithmOf(key: TpmKey): SignatureAlgorithm {
  return defaultSignatureAlgorithm(key.publicKey.algorithm);
}

function signatureHash({ area }: TpmKey): string {
  return area.scheme !== undefined && 'hash' in area.scheme ? area.scheme.hash : 'sha256';
}
