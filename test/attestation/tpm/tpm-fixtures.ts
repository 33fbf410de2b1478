import { readFileSync } from 'node:fs';
import { parseCertificate, type Certificate } from '../../../core/x509/certificate.ts';
import { EvidenceFault } from '../../../devices/attestation/findings.ts';

/** test/fixtures/tpm/fixtures.json, hex where not said otherwise. */
export const FIXTURES = JSON.parse(
  readFileSync(new URL('../../fixtures/tpm/fixtures.json', import.meta.url), 'utf8'),
) as TpmFixtures;

interface CredentialFixture {
  readonly credential: string;
  readonly seed: string;
  readonly symKey: string;
  readonly hmacKey: string;
  readonly idObject: string;
  readonly encryptedSecret: string;
}

interface TpmFixtures {
  /** PEM. */
  readonly ekRoot: string;
  readonly ekIssuer: string;
  readonly ekCertRsa2048: string;
  readonly ekCertP384: string;
  readonly ekPubArea: string;
  readonly ekName: string;
  readonly ekPubAreaP384: string;
  readonly akPubArea: string;
  readonly akName: string;
  readonly akCreationData: string;
  readonly makeCredentialRsa: CredentialFixture;
  readonly makeCredentialP384: CredentialFixture & {
    readonly akName: string;
    readonly ephemeral: { readonly d: string; readonly Z: string };
  };
  readonly acme: {
    readonly keyAuthorization: string;
    readonly extraData: string;
    readonly appPubArea: string;
    readonly appName: string;
    readonly certInfo: string;
    readonly sigTPMT: string;
    readonly akCert: string;
    readonly attestationCaRoot: string;
  };
  readonly akSelfCertifyCreation: { readonly attest: string; readonly sig: string };
  readonly quote: {
    readonly pcrSelection: string;
    readonly pcrValues: readonly string[];
    readonly attest: string;
    readonly sig: string;
    readonly policyPCR: string;
  };
}

/** When the certificates of the fixtures are valid. */
export const FIXTURE_TIME = new Date('2026-11-23T00:00:00Z');

/** Octets of hex. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** The certificate of a PEM text. */
export function pemCertificate(pem: string): Certificate {
  return parseCertificate(new Uint8Array(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')));
}

/** The code with which evidence is refused, or `accepted`. */
export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return 'accepted';
  } catch (error) {
    if (error instanceof EvidenceFault) return error.code;
    throw error;
  }
}
