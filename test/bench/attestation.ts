import { verify, createPublicKey } from 'node:crypto';
import { encodeAttestationBundle } from '../../core/x509/attestation-bundle.ts';
import { tpmVerifier } from '../../devices/attestation/tpm/tpm-verifier.ts';
import { parseTpmtSignature } from '../../devices/attestation/tpm/tpmt-signature.ts';
import { signatureInX509Form } from '../../devices/attestation/tpm/tpm-signature-verification.ts';
import { appraisalContext, testAnchor } from '../fakes/appraisal-context.ts';
import { publicAreaOf, SoftwareAttestationKey } from '../fakes/software-tpm.ts';
import { tpmBundle } from '../fakes/tpm-evidence.ts';
import { TpmManufacturer } from '../fakes/tpm-manufacturer.ts';
import { idevidVerdicts, matterVerdicts } from './device-verdicts.ts';
import { figure, type Figure } from './figure.ts';

const ROUNDS = 5;
const ROUND_MS = 1000;

/** Verdicts a second on one core, evidence and store aside: each beside the bare signature verifications that it cannot do without. */
export async function measureAttestation(): Promise<readonly Figure[]> {
  return [await tpmCertify(), await matterVerdicts(perSecond), await idevidVerdicts(perSecond)];
}

/** A bundle with the AK's certificate, under a known anchor: two P-256 signatures, of the TPM and of the CA. */
async function tpmCertify(): Promise<Figure> {
  const maker = new TpmManufacturer();
  const ak = new SoftwareAttestationKey();
  const area = publicAreaOf();
  const nonce = new Uint8Array(32);
  const signed = ak.certify(area, { extraData: nonce });
  const certificate = maker.akCertificate(ak.publicKey);
  const parts = { certify: { publicArea: area, ...signed }, certificates: [certificate] };
  const bytes = encodeAttestationBundle(tpmBundle(parts));
  const anchors = [testAnchor('attestation-ca', maker.attestationRoot.certificate)];
  const context = appraisalContext({ type: 'tpm-certify', now: new Date(), nonce, anchors });
  const verifier = tpmVerifier();
  const key = createPublicKey({ key: Buffer.from(ak.publicKey.der), format: 'der', type: 'spki' });
  const caKey = createPublicKey({
    key: Buffer.from(maker.attestationRoot.certificate.publicKey.der),
    format: 'der',
    type: 'spki',
  });
  const signature = signatureInX509Form(parseTpmtSignature(signed.signature));
  return figure(
    'verdicts, TPM certify with AK certificate, P-256',
    'verdicts/s',
    await perSecond(() => verifier.appraise(bytes, context)),
    {
      name: 'its two signatures, OpenSSL alone',
      runs: await perSecond(async () => {
        verify('sha256', signed.attest, key, signature);
        verify('sha256', certificate.tbsDer, caKey, certificate.signature);
      }),
    },
  );
}

/** How often a second it can be done, one after the other: one figure a round, the first thrown away. */
async function perSecond(work: () => Promise<unknown>): Promise<number[]> {
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now();
    let done = 0;
    while (performance.now() - start < ROUND_MS) {
      await work();
      done++;
    }
    rates.push((done * 1000) / (performance.now() - start));
  }
  return rates.slice(1);
}
