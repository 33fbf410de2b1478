import { type PcrSelection, readPcrSelection } from './pcr-selection.ts';
import { readStructure, type StructureReader } from './structure-reader.ts';

/** What a TPM says of any attestation (TPMS_ATTEST; TPM 2.0 Library, Part 2 §10.12.12). */
interface AttestHeader {
  /** The octets that are signed. */
  readonly bytes: Uint8Array;
  /** Qualified Name of the signing key. */
  readonly qualifiedSigner: Uint8Array;
  /** What the caller gave: here the nonce. */
  readonly extraData: Uint8Array;
  /**
   * TPMS_CLOCK_INFO. Obfuscated, like firmwareVersion, unless the signer stands in the endorsement or platform hierarchy: never an
   * identifier.
   */
  readonly clockInfo: {
    readonly clock: bigint;
    readonly resetCount: number;
    readonly restartCount: number;
    readonly safe: boolean;
  };
  readonly firmwareVersion: bigint;
}

/** TPM_ST_ATTEST_CERTIFY: an object with this name is loaded in the signer's TPM. */
export interface CertifyAttest extends AttestHeader {
  readonly type: 'certify';
  readonly name: Uint8Array;
  readonly qualifiedName: Uint8Array;
}

/** TPM_ST_ATTEST_CREATION: the signer's TPM made the object, with creation data of this digest. */
export interface CreationAttest extends AttestHeader {
  readonly type: 'creation';
  readonly objectName: Uint8Array;
  readonly creationHash: Uint8Array;
}

/** TPM_ST_ATTEST_QUOTE: digest of the selected PCRs, by the hash of the signing scheme. */
export interface QuoteAttest extends AttestHeader {
  readonly type: 'quote';
  readonly pcrSelect: PcrSelection;
  readonly pcrDigest: Uint8Array;
}

/** The attestations that are read here. */
export type Attest = CertifyAttest | CreationAttest | QuoteAttest;

/** TPM_GENERATED_VALUE: FF "TCG". A restricted key signs nothing from outside that begins with it. */
const MAGIC = 0xff544347;
const ATTEST_TYPE = { certify: 0x8017, quote: 0x8018, creation: 0x801a } as const;

const MAX_OCTETS = 1024;
/** nameAlg and a SHA-512 digest. */
const NAME = { max: 66 };
/** TPM2B_DATA holds at most a TPMT_HA. */
const DATA = { max: 66 };
const DIGEST = { min: 20, max: 64 };

/** Decodes a TPMS_ATTEST of type certify, creation or quote. Throws TpmStructureError. */
export function parseAttest(bytes: Uint8Array): Attest {
  return readStructure('TPMS_ATTEST', bytes, MAX_OCTETS, (reader) => readAttest(reader, bytes));
}

function readAttest(reader: StructureReader, bytes: Uint8Array): Attest {
  const magic = reader.u32('magic');
  if (magic !== MAGIC) reader.fault('magic', '0xff544347 (made by a TPM)', `0x${magic.toString(16)}`, 4);
  const type = reader.u16('type');
  const header = { bytes, ...readHeader(reader) };
  switch (type) {
    case ATTEST_TYPE.certify:
      return {
        type: 'certify',
        ...header,
        name: reader.sized('attested.name', NAME),
        qualifiedName: reader.sized('attested.qualifiedName', NAME),
      };
    case ATTEST_TYPE.creation:
      return {
        type: 'creation',
        ...header,
        objectName: reader.sized('attested.objectName', NAME),
        creationHash: reader.sized('attested.creationHash', DIGEST),
      };
    case ATTEST_TYPE.quote:
      return {
        type: 'quote',
        ...header,
        pcrSelect: readPcrSelection(reader, 'attested.pcrSelect'),
        pcrDigest: reader.sized('attested.pcrDigest', DIGEST),
      };
    default:
      return reader.fault('type', 'CERTIFY (0x8017), CREATION (0x801a) or QUOTE (0x8018)', `0x${type.toString(16)}`);
  }
}

function readHeader(reader: StructureReader): Omit<AttestHeader, 'bytes'> {
  return {
    qualifiedSigner: reader.sized('qualifiedSigner', NAME),
    extraData: reader.sized('extraData', DATA),
    clockInfo: {
      clock: reader.u64('clockInfo.clock'),
      resetCount: reader.u32('clockInfo.resetCount'),
      restartCount: reader.u32('clockInfo.restartCount'),
      safe: readYesNo(reader, 'clockInfo.safe'),
    },
    firmwareVersion: reader.u64('firmwareVersion'),
  };
}

/** TPMI_YES_NO. */
function readYesNo(reader: StructureReader, field: string): boolean {
  const value = reader.u8(field);
  if (value > 1) reader.fault(field, '0 or 1', String(value), 1);
  return value === 1;
}
