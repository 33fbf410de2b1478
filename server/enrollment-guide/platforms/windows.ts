import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';
import { carriedRequest } from './carried-request.ts';

const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2';
const SCEP_NODE = './Device/Vendor/MSFT/ClientCertificateInstall/SCEP/muster/Install';

/** Windows: its SCEP client is told by a management system (ClientCertificateInstall CSP); certreq makes a request by hand. */
export const windows: Platform = {
  name: 'windows',
  title: 'Windows 10 and later',
  comment: '#',
  asks: false,
  placeholders: TYPED,
  fingerprints: 'lower',
  sections: { scep: { basis: 'documents', keys: 'rsa', lines: scepLines } },
  byHand: { basis: 'documents', lines: byHandLines },
};

// Windows wants the thumbprint of the root.
function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    '# For a management system (Intune and others have fields of these names); the root goes to the store of trusted roots.',
    `# Nodes below ${SCEP_NODE}:`,
    `ServerURL        ${url}`,
    ...(secret === undefined ? [] : [`Challenge        ${SECRET}`]),
    `CAThumbprint     ${facts.root.fingerprints.sha1}`,
    `SubjectName      CN=${DEVICE}`,
    `EKUMapping       ${CLIENT_AUTHENTICATION}`,
    'KeyUsage         160',
    `KeyLength        ${rsaBits(facts)}`,
    'HashAlgorithm    SHA-256',
    '# Root certificate:',
    facts.root.pem,
  ];
}

function byHandLines(facts: GuideFacts): string[] {
  return [
    "@'",
    '[NewRequest]',
    `Subject = "CN=${DEVICE}"`,
    `KeyLength = ${rsaBits(facts)}`,
    'HashAlgorithm = SHA256',
    'MachineKeySet = TRUE',
    'Exportable = FALSE',
    'RequestType = PKCS10',
    "'@ | Set-Content muster.inf",
    'certreq -new muster.inf muster.csr',
    ...carriedRequest(facts, '#', 'muster.csr'),
    "@'",
    facts.root.pem,
    "'@ | Set-Content muster-root.cer",
    'certutil -addstore Root muster-root.cer',
    'certreq -accept muster.pem',
  ];
}
