import { readFileSync } from 'node:fs';
import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import {
  ATTESTATION_STATEMENT,
  encodeAttestationBundle,
  encodeTpmCertifyStatement,
} from '../../../core/x509/attestation-bundle.ts';
import { EvidenceFault } from '../../../devices/attestation/findings.ts';
import { parseAttest } from '../../../devices/attestation/tpm/attest.ts';
import { parseTpmBundle } from '../../../devices/attestation/tpm/bundle-statements.ts';
import { parseCreationData } from '../../../devices/attestation/tpm/creation-data.ts';
import { objectName } from '../../../devices/attestation/tpm/names.ts';
import { certificateInNv } from '../../../devices/attestation/tpm/nv-certificate.ts';
import { encodePcrSelection } from '../../../devices/attestation/tpm/pcr-selection.ts';
import { parsePublicArea } from '../../../devices/attestation/tpm/public-area.ts';
import { TpmStructureError } from '../../../devices/attestation/tpm/structure-error.ts';
import { tpmPublicKey } from '../../../devices/attestation/tpm/tpm-public-key.ts';
import { signatureInX509Form } from '../../../devices/attestation/tpm/tpm-signature-verification.ts';
import { parseTpmtSignature } from '../../../devices/attestation/tpm/tpmt-signature.ts';
import type { FuzzTarget } from '../run-fuzz.ts';

interface Fixtures {
  readonly ekPubArea: string;
  readonly ekPubAreaP384: string;
  readonly akPubArea: string;
  readonly akCreationData: string;
  readonly ekCertP384: string;
  readonly acme: {
    readonly appPubArea: string;
    readonly certInfo: string;
    readonly sigTPMT: string;
    readonly akCert: string;
  };
  readonly akSelfCertifyCreation: { readonly attest: string };
  readonly quote: { readonly attest: string; readonly sig: string };
}

const fixtures = JSON.parse(
  readFileSync(new URL('../../fixtures/tpm/fixtures.json', import.meta.url), 'utf8'),
) as Fixtures;
const { acme } = fixtures;

/** What a TPM's evidence is made of. */
export const tpmTargets: readonly FuzzTarget[] = [
  {
    name: 'tpm public area',
    seeds: () => [fixtures.ekPubArea, fixtures.ekPubAreaP384, fixtures.akPubArea, acme.appPubArea].map(octets),
    decode(bytes) {
      const area = parsePublicArea(bytes);
      return [objectName(area), tpmPublicKey(area)];
    },
    allowedErrors: [TpmStructureError, Asn1Error],
  },
  {
    name: 'tpm attest',
    seeds: () => [acme.certInfo, fixtures.akSelfCertifyCreation.attest, fixtures.quote.attest].map(octets),
    decode(bytes) {
      const attest = parseAttest(bytes);
      return attest.type === 'quote' ? encodePcrSelection(attest.pcrSelect) : attest;
    },
    allowedErrors: [TpmStructureError],
  },
  {
    name: 'tpm creation data',
    seeds: () => [octets(fixtures.akCreationData)],
    decode: parseCreationData,
    allowedErrors: [TpmStructureError],
  },
  {
    name: 'tpm signature',
    seeds: () => [acme.sigTPMT, fixtures.quote.sig].map(octets),
    decode: (bytes) => signatureInX509Form(parseTpmtSignature(bytes)),
    allowedErrors: [TpmStructureError],
  },
  {
    name: 'tpm bundle',
    seeds: () => [bundle()],
    decode: parseTpmBundle,
    allowedErrors: [EvidenceFault],
  },
  {
    name: 'tpm nv certificate',
    seeds: () => [
      octets(fixtures.ekCertP384),
      octets(`1001000${(fixtures.ekCertP384.length / 2).toString(16)}${fixtures.ekCertP384}00`),
    ],
    decode: certificateInNv,
    allowedErrors: [EvidenceFault],
  },
];

function bundle(): Uint8Array {
  const statement = encodeTpmCertifyStatement({
    attest: octets(acme.certInfo),
    signature: octets(acme.sigTPMT),
    publicArea: octets(acme.appPubArea),
  });
  return encodeAttestationBundle({
    statements: [{ type: ATTESTATION_STATEMENT.tpmCertify, statement }],
    certificates: [octets(acme.akCert)],
  });
}

function octets(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
