import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { appraiseIdevid } from '../../devices/attestation/idevid/verifier.ts';
import { matterVerifier } from '../../devices/attestation/matter/verifier.ts';
import { appraisalContext, testAnchor } from '../fakes/appraisal-context.ts';
import { MatterVendor } from '../fakes/matter-device.ts';
import { TestManufacturer } from '../fakes/test-manufacturer.ts';
import { figure, type Figure } from './figure.ts';

/** How a bench repeats work: calls a second, one value a round. */
type PerSecond = (work: () => Promise<unknown>) => Promise<number[]>;

/** Matter: the signatures of DAC and PAI, of both answers and of the CSR, all on P-256; the declaration is one of many alike. */
export async function matterVerdicts(perSecond: PerSecond): Promise<Figure> {
  const vendor = new MatterVendor();
  const nonce = new Uint8Array(32);
  const device = vendor.device();
  const bytes = device.evidence(nonce);
  const anchors = [testAnchor('paa', vendor.paa.certificate!), testAnchor('cd', vendor.declarations.certificate)];
  const context = appraisalContext({ type: 'matter-dac', nonce, anchors });
  const verifier = matterVerifier();
  const dac = parseCertificate(device.dac);
  const pai = parseCertificate(device.pai);
  const csr = parseCertificationRequest(device.requestCertificate(nonce, new Uint8Array(16)).csr);
  const signatures = [signatureOf(dac, pai), signatureOf(pai, vendor.paa.certificate!)];
  // The other three cost what this one costs.
  const own = { key: keyOf(csr.publicKey), signed: csr.infoDer, signature: csr.signature };
  return figure(
    'verdicts, Matter DAC with declaration and NOCSR',
    'verdicts/s',
    await perSecond(() => verifier.appraise(bytes, context)),
    {
      name: 'its five signatures, OpenSSL alone',
      runs: await perSecond(verifying([...signatures, own, own, own])),
    },
  );
}

/** IDevID: the device's certificate and its line's, read and appraised, as a handshake brings them. */
export async function idevidVerdicts(perSecond: PerSecond): Promise<Figure> {
  const maker = new TestManufacturer();
  const device = maker.device('SN-1');
  const context = appraisalContext({ anchors: [testAnchor('idevid', maker.root.certificate)] });
  const [leaf, line] = device.chain.map((der) => parseCertificate(der));
  const signatures = [signatureOf(leaf!, line!), signatureOf(line!, maker.root.certificate)];
  const appraise = (): Promise<unknown> =>
    appraiseIdevid(
      device.chain.map((der) => parseCertificate(der)),
      context,
    );
  return figure('verdicts, IDevID of P-256 below one intermediate', 'verdicts/s', await perSecond(appraise), {
    name: 'its two signatures, OpenSSL alone',
    runs: await perSecond(verifying(signatures)),
  });
}

interface BareSignature {
  readonly key: KeyObject;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

function signatureOf({ tbsDer, signature }: Certificate, issuer: Certificate): BareSignature {
  return { key: keyOf(issuer.publicKey), signed: tbsDer, signature };
}

function keyOf({ der }: SubjectPublicKeyInfo): KeyObject {
  return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
}

function verifying(signatures: readonly BareSignature[]): () => Promise<void> {
  return async () => {
    for (const { key, signed, signature } of signatures) verify('sha256', signed, key, signature);
  };
}
