import { boolean, directoryName, dnsNames, extension, oid, sequence, tlv } from '../../fakes/cmp-der.ts';
import {
  type CertReqMsg,
  raVerified,
  requestFor,
  signatureProof,
  signatureProofOverInput,
} from '../../fakes/cmp-request.ts';
import type { Failure } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';

const EKU = '2.5.29.37';
const ID_KP = '1.3.6.1.5.5.7.3';
const basicConstraints = (isCa: boolean): Buffer =>
  extension('2.5.29.19', sequence(isCa ? boolean(true) : undefined), true);
const purposes = (...arcs: readonly number[]): Buffer =>
  extension(EKU, sequence(...arcs.map((arc) => oid(`${ID_KP}.${arc}`))));
/** keyCertSign and cRLSign. */
const CA_USAGE = extension('2.5.29.15', tlv(0x03, Buffer.from([1, 0x06])), true);

/** A template that is refused for what it asks. */
interface TemplateRow {
  readonly id: string;
  readonly fault: string;
  readonly request: () => CertReqMsg;
  readonly failures: readonly Failure[];
}

const keyOf = newKey();
/** What is wrong with a template, or with the proof beside it. */
export const TEMPLATES: readonly TemplateRow[] = [
  {
    id: 'CM-32',
    fault: 'a certReqId of 1',
    request: () => requestFor('CN=id', newKey(), { certReqId: 1 }),
    failures: ['badRequest'],
  },
  {
    id: 'CM-32',
    fault: 'a certReqId of -1',
    request: () => requestFor('CN=id', newKey(), { certReqId: -1 }),
    failures: ['badRequest'],
  },
  {
    id: 'CM-33',
    fault: 'a proof by another key',
    request: () => requestFor('CN=pop', newKey(), { proof: signatureProof(newKey()) }),
    failures: ['badPOP'],
  },
  {
    id: 'CM-33',
    fault: 'no proof for a key that signs',
    request: () => ({ template: requestFor('CN=pop', newKey()).template }),
    failures: ['badPOP'],
  },
  {
    id: 'CM-33',
    fault: 'poposkInput although subject and key stand in the template',
    request: () =>
      requestFor('CN=pop', keyOf, { proof: signatureProofOverInput(keyOf, { sender: directoryName('CN=pop') }) }),
    failures: ['badPOP'],
  },
  {
    id: 'CM-33',
    fault: 'the algorithm of another kind of key in the proof',
    request: () => requestFor('CN=pop', newKey(), { proof: signatureProof(newKey('ed25519')) }),
    failures: ['badPOP'],
  },
  {
    id: 'CM-34',
    fault: 'raVerified by who is no registration authority',
    request: () => requestFor('CN=pop', newKey(), { proof: raVerified }),
    failures: ['notAuthorized'],
  },
  {
    id: 'CM-35',
    fault: 'neither subject nor subjectAltName',
    request: () => requestFor('', keyOf, { proof: signatureProof(keyOf) }),
    failures: ['badCertTemplate'],
  },
  {
    id: 'CM-35',
    fault: 'no public key',
    request: () => ({ template: { subject: 'CN=keyless' }, proof: signatureProof(keyOf) }),
    failures: ['badPOP'],
  },
  {
    id: 'CM-35',
    fault: 'an RSA key of 1024 bits',
    request: () => requestFor('CN=weak', newKey('rsa1024')),
    failures: ['badCertTemplate'],
  },
  {
    id: 'CM-35',
    fault: 'a CA certificate',
    request: () => requestFor('CN=ca', newKey(), { template: { extensions: [basicConstraints(true), CA_USAGE] } }),
    failures: ['badCertTemplate'],
  },
  ...([28, 27, 32] as const).map((arc): TemplateRow => ({
    id: 'CM-35',
    fault: `the purpose id-kp-${{ 27: 'cmcCA', 28: 'cmcRA', 32: 'cmKGA' }[arc]}`,
    request: () => requestFor('CN=privileged', newKey(), { template: { extensions: [purposes(arc)] } }),
    failures: ['notAuthorized', 'badCertTemplate'],
  })),
  {
    id: 'CM-35',
    fault: 'an extension whose value is no DER',
    request: () =>
      requestFor('CN=odd', newKey(), { template: { extensions: [extension('2.5.29.17', Buffer.from([1, 2, 3]))] } }),
    failures: ['badCertTemplate'],
  },
  {
    id: 'CM-35',
    fault: 'an extension twice',
    request: () =>
      requestFor('CN=twice', newKey(), {
        template: { extensions: [dnsNames(['a.example']), dnsNames(['b.example'])] },
      }),
    failures: ['badDataFormat'],
  },
  {
    id: 'CM-35',
    fault: 'a version other than v3',
    request: () => requestFor('CN=v1', newKey(), { template: { version: 0 } }),
    failures: ['badCertTemplate'],
  },
  {
    id: 'CM-35',
    fault: 'a serial number of the device’s choice',
    request: () => requestFor('CN=chosen', newKey(), { template: { serialNumber: Buffer.from([1]) } }),
    failures: ['badCertTemplate'],
  },
];
