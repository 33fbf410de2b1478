import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { OPEN_CMP } from '../../../core/enrollment/cmp-settings.ts';
import { MusterError, PeerError } from '../../../core/errors/muster-error.ts';
import { parseCertificationRequest } from '../../../core/x509/certification-request.ts';
import { parseCertificate } from '../../../core/x509/certificate.ts';
import { publicKeyOf } from '../../../protocols/cmp/cert-template.ts';
import { readGeneralInfo } from '../../../protocols/cmp/general-info.ts';
import { checkHeader, checkMacSender } from '../../../protocols/cmp/header-rules.ts';
import { macSchemeOf } from '../../../protocols/cmp/mac-scheme.ts';
import { messageSignatureOf } from '../../../protocols/cmp/message-signature.ts';
import { parseWellKnownPath } from '../../../protocols/cmp/path.ts';
import type { PkiBody } from '../../../protocols/cmp/pki-body.ts';
import { parsePkiBody, parsePkiMessage } from '../../../protocols/cmp/pki-message.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

const MESSAGES = [
  'ir-pbm',
  'cr-input-pbmac1',
  'kur-signature',
  'p10cr-gmac',
  'cr-made-key-kmac',
  'ir-indirect-pss',
  'rr-signature',
  'genm-crl',
  'cert-conf',
  'poll-req',
  'error',
  'nested',
  'ip-openssl',
];

/** What CMP reads of a message before it knows whose it is, and what it reads of the body once it does. */
export const cmpTargets: readonly FuzzTarget[] = [
  {
    name: 'cmp PKIMessage',
    seeds: () => MESSAGES.map((name) => seedFile(`cmp-${name}`)),
    decode: (bytes) => readMessage(bytes, 0),
    allowedErrors: [Asn1Error, MusterError],
  },
  {
    name: 'cmp path',
    seeds: () =>
      ['', 'p/default', 'p/routers/initialization', 'getcacerts'].map((path) => new TextEncoder().encode(path)),
    decode(path) {
      if (parseWellKnownPath(Buffer.from(path).toString('latin1')) === undefined)
        throw new PeerError('not-found', 'names no operation');
    },
    allowedErrors: [PeerError],
  },
];

function readMessage(bytes: Uint8Array, depth: number): void {
  const { header, bodyDer, extraCerts } = parsePkiMessage(bytes);
  const { protectionAlg } = header;
  if (protectionAlg !== undefined) {
    const isMac = macSchemeOf(protectionAlg.value, protectionAlg.der, OPEN_CMP) !== undefined;
    if (isMac) checkMacSender(header);
    else messageSignatureOf(protectionAlg.der, 'protectionAlg');
  }
  checkHeader(header, OPEN_CMP, 0);
  readGeneralInfo(header);
  for (const certificate of extraCerts) parseCertificate(certificate);
  readBody(parsePkiBody(bodyDer), depth);
}

function readBody(body: PkiBody, depth: number): void {
  if (body.kind === 'p10cr') parseCertificationRequest(body.value);
  if (body.kind === 'ir' || body.kind === 'cr' || body.kind === 'kur') {
    for (const { certReq } of body.value) publicKeyOf(certReq.value.certTemplate.value);
  }
  if (body.kind === 'nested' && depth < 2) for (const message of body.value) readMessage(message, depth + 1);
}
