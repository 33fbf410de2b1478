import { OPEN_ATTESTATION } from '../../../core/enrollment/attestation-settings.ts';
import { attestationPolicy, NO_ATTESTATION } from '../../../core/enrollment/attestation-policy.ts';
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { DEFAULT_KEY_RULES, type KeyRules } from '../../../core/authority/profile.ts';
import { OPEN_ACME } from '../../../core/enrollment/acme-settings.ts';
import { OPEN_CMP } from '../../../core/enrollment/cmp-settings.ts';
import type { Authenticator, Endpoint, EstSettings } from '../../../core/enrollment/endpoint.ts';
import { OPEN_SCEP } from '../../../core/enrollment/scep-settings.ts';
import { nameFromText } from '../../../core/x509/name.ts';
import { CLOSED_ENDPOINT } from '../../../server/api/endpoint-schema.ts';
import { enrollmentGuide } from '../../../server/enrollment-guide/guide.ts';
import { guideFacts, type GuideProtocol } from '../../../server/enrollment-guide/guide-facts.ts';
import { PLATFORM_NAMES, type PlatformName } from '../../../server/enrollment-guide/platform-names.ts';
import { PLATFORMS } from '../../../server/enrollment-guide/platforms.ts';
import { TestAuthority } from '../../support/test-pki.ts';

const root = TestAuthority.root();
const issuing = root.intermediate();
const URLS = { plain: 'http://pki.example:8080', mtls: 'https://pki.example:8443', tls: 'https://pki.example:8444' };
const OPEN_EST: EstSettings = {
  authenticators: ['password', 'certificate'],
  channelBinding: 'optional',
  wrapping: 'auto',
  serverKeyGeneration: false,
  csrAttributes: 'none',
};
const OPEN = { est: OPEN_EST, scep: OPEN_SCEP, cmp: OPEN_CMP, acme: OPEN_ACME };
/** What `muster secret create` is told for a protocol. */
const KIND: Readonly<Record<GuideProtocol, string>> = { est: '', scep: '', cmp: ' --kind mac', acme: ' --kind eab' };
const HOST: Readonly<Record<GuideProtocol, string>> = {
  est: 'pki.example',
  scep: 'pki.example:8080',
  cmp: 'pki.example:8080',
  acme: 'pki.example:8444',
};

interface Scene {
  readonly open?: readonly GuideProtocol[];
  readonly authenticators?: readonly Authenticator[];
  readonly isDefault?: boolean;
  readonly keys?: KeyRules;
  readonly chain?: readonly Uint8Array[];
  readonly tlsRoot?: Uint8Array;
  /** Whether the endpoint asks for evidence, its front door open. */
  readonly attested?: boolean;
}

function guideOf(platform: PlatformName, scene: Scene = {}): ReturnType<typeof enrollmentGuide> {
  const { open = ['est', 'scep', 'cmp', 'acme'], authenticators } = scene;
  const protocols = Object.fromEntries(
    open.map((protocol) => [protocol, { ...OPEN[protocol], ...(authenticators && { authenticators }) }]),
  );
  const endpoint: Endpoint = {
    ...CLOSED_ENDPOINT,
    attestation: scene.attested ? attestationPolicy('enforce') : NO_ATTESTATION,
    protocols: { ...protocols, ...(scene.attested && { attestation: OPEN_ATTESTATION }) },
    id: 'e',
    tenant: 't',
    label: 'branch',
    profile: 'p',
    authority: 'a',
    revision: 1,
    isDefault: scene.isDefault ?? false,
    keyRules: scene.keys ?? DEFAULT_KEY_RULES,
  };
  const { chain = [issuing.der, root.der], tlsRoot = root.der } = scene;
  return enrollmentGuide(platform, guideFacts(endpoint, chain, { urls: URLS, tlsRoot }));
}

const textOf = (platform: PlatformName, scene?: Scene): string => guideOf(platform, scene).text;

/** As `openssl x509 -fingerprint` prints it: an independent hash, and the form with colons. */
function opensslFingerprint(der: Uint8Array, digest: string): string {
  const key = `${digest} ${Buffer.from(der).toString('hex')}`;
  const known = computed.get(key);
  if (known !== undefined) return known;
  const args = ['x509', '-inform', 'DER', '-noout', '-fingerprint', `-${digest}`];
  const fingerprint = execFileSync('openssl', args, { input: der }).toString().trim().split('=')[1]!;
  computed.set(key, fingerprint);
  return fingerprint;
}

const computed = new Map<string, string>();

describe.each(PLATFORM_NAMES)('%s', (platform) => {
  const { comment, sections } = PLATFORMS[platform];

  it('is listed under its own name', () => {
    expect(PLATFORMS[platform].name).toBe(platform);
  });

  it('tells in comments what it is for, and says of each section what it rests on', () => {
    const { text, protocols } = guideOf(platform);
    expect(text).toMatch(new RegExp(`^${comment} Muster: how .+ enrols at the endpoint branch\n`));
    expect(text.endsWith('\n')).toBe(true);
    const headings = text.split('\n').filter((line) => line.startsWith(`${comment} --- `));
    const described = protocols.filter(({ state }) => state === 'described');
    const others = headings.filter((line) => /By hand|Certificates/.test(line));
    expect(headings.length - others.length).toBe(described.length);
    const sources = text.split('\n').filter((line) => line.startsWith(`${comment} Source: `));
    expect(sources.length).toBe(headings.length - (platform === 'any' ? 1 : 0));
    expect(sources.length).toBeGreaterThan(0);
  });

  it('leaves out what the endpoint is closed for, and says so', () => {
    for (const protocol of ['est', 'scep', 'cmp', 'acme'] as const) {
      const { text, protocols } = guideOf(platform, { open: [protocol] });
      for (const { protocol: other, state } of protocols) {
        if (other === protocol) continue;
        expect(state).toBe('closed');
        const name = other.toUpperCase();
        expect(text).toContain(`${name} is left out: the endpoint is closed for it.`);
        expect(text).toContain(`muster endpoint set branch protocols.${other}={}`);
        expect(text).not.toContain(`${comment} --- ${name}`);
      }
      const path = { est: '/.well-known/est', scep: '/scep/', cmp: '/.well-known/cmp', acme: '/acme/' };
      for (const other of Object.keys(path) as (keyof typeof path)[]) {
        if (other !== protocol) expect(text).not.toContain(path[other]);
      }
    }
    expect(textOf(platform, { open: [] })).not.toMatch(/pki\.example/);
  });

  it('gives the URL of this endpoint for each protocol it is a client of', () => {
    for (const [protocol, section] of Object.entries(sections)) {
      const scene = { open: [protocol as GuideProtocol], isDefault: true };
      const [state] = guideOf(platform, scene).protocols.filter(({ protocol: one }) => one === protocol);
      expect(state).toMatchObject({ state: 'described', basis: section.basis });
      expect(textOf(platform, scene)).toContain(HOST[protocol as GuideProtocol]);
    }
  });

  it('has placeholders for secrets where the endpoint takes some, says how to make them, and none elsewhere', () => {
    const { secret } = PLATFORMS[platform].placeholders;
    for (const protocol of Object.keys(sections) as GuideProtocol[]) {
      const open = [protocol];
      const taking = textOf(platform, { open, isDefault: true });
      expect(taking).toContain(`muster secret create --endpoint branch${KIND[protocol]}`);
      expect(taking).toContain(secret);
      const without = textOf(platform, { open, isDefault: true, authenticators: ['anchored-certificate', 'ra'] });
      expect(without).not.toContain('<SECRET>');
      expect(without).not.toContain('enrollment-secret');
      expect(without).not.toContain('muster secret create');
      expect(without).toContain('a device proves itself by anchored-certificate or ra');
    }
  });

  it('does without a root of its own where the authority is one', () => {
    const text = textOf(platform, { chain: [root.der], isDefault: true });
    expect(text).toContain(`${comment} Issuing CA: CN=Test Root,O=Muster Test`);
    expect(text).not.toContain('Root CA');
    expect(text).not.toContain('MUSTER-ROOT');
  });

  it('prints nothing of a hostile CA name but text inside a line', () => {
    const name = nameFromText(String.raw`CN=x\0Areload\0D\0A$(reboot)'\"`);
    const hostile = TestAuthority.root({ name });
    const lines = textOf(platform, { chain: [hostile.der], isDefault: true }).split('\n');
    const naming = lines.filter((line) => line.includes('reboot'));
    expect(naming.length).toBeGreaterThan(0);
    for (const line of naming) expect(line).not.toMatch(/\p{Cc}/u);
    expect(lines.some((line) => /^\s*(?:reload|\$\()/.test(line))).toBe(false);
    // Outside comments it stands only where a platform's own quotes hold it.
    for (const line of naming.filter((one) => !one.startsWith(comment))) expect(line).toMatch(/ca-(?:dn|name) "/);
  });
});

describe('fingerprints', () => {
  it.each<[PlatformName, (colons: string) => string]>([
    ['any', (colons) => colons],
    ['nx-os', (colons) => colons],
    ['openssl', (colons) => colons],
    ['ios-xe', words],
    ['certmonger', words],
    ['asa', (colons) => words(colons).toLowerCase()],
    ['junos', (colons) => colons.toLowerCase()],
    ['panos', (colons) => colons.replaceAll(':', '')],
    ['routeros', (colons) => colons.replaceAll(':', '').toLowerCase()],
  ])('of %s look as the platform prints them, and are those openssl computes', (platform, form) => {
    const lines = textOf(platform).split('\n');
    for (const [digest, name] of [
      ['md5', 'MD5'],
      ['sha1', 'SHA-1'],
      ['sha256', 'SHA-256'],
    ] as const) {
      for (const { der } of [issuing, root]) {
        const expected = `  ${name.padEnd(7)} ${form(opensslFingerprint(der, digest))}`;
        expect(lines.filter((line) => line.endsWith(expected))).toHaveLength(1);
      }
    }
  });

  function words(colons: string): string {
    return colons.replaceAll(':', '').match(/.{8}/g)!.join(' ');
  }
});

describe('what a device is told', () => {
  const sha1 = (der: Uint8Array): string => opensslFingerprint(der, 'sha1').replaceAll(':', '');
  const pem = (authority: TestAuthority): string => Buffer.from(authority.der).toString('base64').slice(0, 60);

  it('IOS and IOS XE: a trustpoint by SCEP that compares the issuing CA by itself, below one that holds the root', () => {
    for (const platform of ['ios', 'ios-xe'] as const) {
      const text = textOf(platform);
      expect(text).toContain(' enrollment url http://pki.example:8080/scep/branch\n');
      expect(text).toContain(` fingerprint ${sha1(issuing.der)}\n`);
      expect(text).toContain(' password <SECRET>\n');
      expect(text).toContain(' chain-validation continue MUSTER-ROOT\n');
      expect(text).toContain(`crypto pki authenticate MUSTER-ROOT\n-----BEGIN CERTIFICATE-----\n${pem(root)}`);
      expect(text).toContain('modulus 2048');
    }
  });

  it('IOS XE: EST at the default endpoint alone, as its client takes no label', () => {
    const { text, protocols } = guideOf('ios-xe');
    expect(protocols[0]).toMatchObject({
      protocol: 'est',
      state: 'no-client',
      reason: expect.stringContaining('label'),
    });
    expect(text).not.toContain('method-est');
    const atDefault = textOf('ios-xe', { isDefault: true });
    expect(atDefault).toContain(' method-est\n enrollment url https://pki.example:8443\n');
    expect(atDefault).toContain(' enrollment http username <DEVICE> password 0 <SECRET>\n');
  });

  it('IOS XR and ASA: a trustpoint by SCEP, and what is asked for in the dialogue', () => {
    expect(textOf('ios-xr')).toContain(' enrollment url http://pki.example:8080/scep/branch\n');
    expect(textOf('asa')).toContain(' enrollment protocol scep url http://pki.example:8080/scep/branch\n');
    for (const platform of ['ios-xr', 'asa'] as const) {
      expect(textOf(platform)).toContain('! It asks for the challenge password, twice: <SECRET>');
    }
  });

  it('NX-OS and EOS: a request by hand, carried by EST where the endpoint is open for it', () => {
    for (const platform of ['nx-os', 'eos'] as const) {
      expect(textOf(platform)).toContain('muster endpoint show branch --for curl');
      expect(textOf(platform, { open: ['scep'] })).toContain('for which this endpoint is closed');
    }
    const nxOs = textOf('nx-os');
    const order = [pem(issuing), pem(root), 'END OF INPUT'].map((part) => nxOs.indexOf(part));
    expect(order.every((at, i) => at > (order[i - 1] ?? 0))).toBe(true);
    expect(textOf('eos')).toContain('certificate muster.crt key muster.key');
  });

  it('Junos: one profile for each CA, SCEP with a challenge, CMP with reference and secret', () => {
    const text = textOf('junos');
    expect(text).toContain('ca-profile MUSTER enrollment url http://pki.example:8080/scep/branch retry');
    expect(text).toContain('trusted-ca-group MUSTER ca-profiles [ MUSTER MUSTER-ROOT ]');
    expect(text).toContain('challenge-password <SECRET> domain-name <DEVICE> subject "CN=<DEVICE>"');
    expect(text).toContain('ca-dn "CN=Test Issuing CA,O=Muster Test" ca-secret <SECRET> ca-reference <REFERENCE>');
    expect(textOf('junos', { chain: [root.der] })).not.toContain('trusted-ca-group');
  });

  it('PAN-OS: the fields of a SCEP profile; a request by hand where SCEP is closed', () => {
    const text = textOf('panos');
    expect(text).toMatch(/^Server URL +http:\/\/pki\.example:8080\/scep\/branch$/m);
    expect(text).toMatch(new RegExp(`^CA Certificate Fingerprint +${sha1(issuing.der)}$`, 'm'));
    expect(text).toMatch(/^SCEP Challenge +Fixed$/m);
    const certificateOnly = textOf('panos', { open: ['scep'], authenticators: ['certificate'] });
    expect(certificateOnly).toMatch(/^SCEP Challenge +None$/m);
    expect(textOf('panos', { open: ['est'] })).toContain('request certificate generate signed-by external');
  });

  it('FortiOS: EST with the label as CA identifier, SCEP with URL and challenge, CMP with server and path apart', () => {
    const text = textOf('fortios');
    expect(text).toContain('set est-server "https://pki.example:8443"\n        set est-ca-id "branch"');
    expect(text).toContain('set est-http-password "<SECRET>"');
    expect(text).toContain('"DNS:<DEVICE>" http://pki.example:8080/scep/branch <SECRET>\n');
    expect(text).toContain('http://pki.example:8080 /.well-known/cmp/p/branch muster-root "" <REFERENCE> <SECRET>');
  });

  it('AOS-CX: an EST profile with the label, its URL last, and an EC key where one is certified', () => {
    const text = textOf('aos-cx');
    expect(text).toMatch(/ arbitrary-label branch\n[^]* url https:\/\/pki\.example:8443\/\.well-known\/est\n exit/);
    expect(text).toContain(' username <DEVICE> password plaintext <SECRET>\n');
    const keyType = (keys: KeyRules): string => textOf('aos-cx', { keys });
    expect(text).toContain(' key-type ecdsa curve-size 256\n');
    expect(keyType({ ...DEFAULT_KEY_RULES, ec: ['P-384'] })).toContain(' key-type ecdsa curve-size 384\n');
    expect(keyType({ ...DEFAULT_KEY_RULES, ec: [], rsa: { minBits: 3072, maxBits: 4096 } })).toContain(
      ' key-type rsa key-size 3072\n',
    );
  });

  it('SR OS: CMP, and the plain key file is removed', () => {
    const text = textOf('sr-os');
    expect(text).toContain('cmpv2 url url-string http://pki.example:8080/.well-known/cmp/p/branch\n');
    expect(text).toContain('protection-alg password <SECRET> reference <REFERENCE> subject-dn CN=<DEVICE>');
    expect(text.indexOf('//file remove cf3:/muster-key force')).toBeGreaterThan(text.indexOf('gen-keypair'));
  });

  it('VRP: a realm that compares the SHA-256 of the issuing CA, and a CMP session', () => {
    const text = textOf('vrp');
    const sha256 = opensslFingerprint(issuing.der, 'sha256').replaceAll(':', '').toLowerCase();
    expect(text).toContain(` enrollment-url http://pki.example:8080/scep/branch ra\n`);
    expect(text).toContain(` fingerprint sha256 ${sha256}\n password cipher <SECRET>\n`);
    expect(text).toContain(' cmp-request server url http://pki.example:8080/.well-known/cmp/p/branch\n');
    expect(text).toContain(' cmp-request message-authentication-code <REFERENCE> <SECRET>\n');
  });

  it('RouterOS: a certificate by SCEP from a template', () => {
    expect(textOf('routeros')).toContain(
      '/certificate add-scep template=muster-template scep-url="http://pki.example:8080/scep/branch" challenge-password="<SECRET>"\n',
    );
  });

  it('Windows: the values of a SCEP profile with the thumbprint of the root; a request by hand where SCEP is closed', () => {
    const text = textOf('windows');
    expect(text).toMatch(/^ServerURL +http:\/\/pki\.example:8080\/scep\/branch$/m);
    expect(text).toMatch(new RegExp(`^CAThumbprint +${sha1(root.der).toLowerCase()}$`, 'm'));
    expect(textOf('windows', { open: ['est'] })).toContain('certreq -new muster.inf muster.csr');
  });

  it('any device: where evidence is asked for, and where it is shown', () => {
    expect(textOf('any')).not.toContain('Attestation');
    const text = textOf('any', { attested: true });
    expect(text).toContain('nonce URL       https://pki.example:8443/.well-known/est/branch/nonce\n');
    expect(text).toContain('front door      https://pki.example:8444/attestation/branch\n');
  });

  it('any device: the values and every certificate', () => {
    const other = TestAuthority.root({ name: 'CN=TLS Root' });
    const text = textOf('any', { tlsRoot: other.der });
    expect(text).toMatch(/^server +pki\.example\nport +8443\nlabel +branch\n/m);
    expect(text).toContain('\nserver URL      http://pki.example:8080/scep/branch\n');
    for (const authority of [issuing, root, other]) expect(text).toContain(pem(authority));
  });

  it('an endpoint of another tenant: the server is trusted under the root of its TLS, certificates under their own', () => {
    const other = TestAuthority.root({ name: 'CN=TLS Root' });
    for (const platform of ['openssl', 'curl', 'strongswan', 'fortios', 'aos-cx', 'ios-xe'] as const) {
      const text = textOf(platform, { tlsRoot: other.der, isDefault: true });
      expect(text).toContain("Root of the server's TLS: CN=TLS Root");
      expect(text).toContain(pem(other));
    }
    expect(textOf('openssl')).not.toContain("Root of the server's TLS");
  });

  it('a profile that certifies no RSA key: clients that make no others are left out', () => {
    const keys: KeyRules = { ec: ['P-384'], edwards: ['ed448'], mlDsa: [65] };
    const { protocols, text } = guideOf('ios-xe', { keys, isDefault: true });
    expect(protocols.map(({ state }) => state)).toEqual(Array.from({ length: 4 }, () => 'no-client'));
    expect(text).toContain('SCEP is left out: it makes RSA keys, and the profile certifies none.');
    expect(text).toContain('Keys that are certified: EC P-384, Ed448, ML-DSA-65\n');
    expect(textOf('openssl', { keys })).toContain('ec_paramgen_curve:secp384r1');
    expect(textOf('openssl', { keys: { ...keys, ec: [], rsa: { minBits: 3072, maxBits: 4096 } } })).toContain(
      'rsa:3072',
    );
    expect(textOf('any', { keys: { ec: [], edwards: [], mlDsa: [] } })).toContain('Keys that are certified: none\n');
  });

  it('each way to a password that the endpoint takes', () => {
    const authenticators: Authenticator[] = ['password', 'static-password', 'derived-password', 'webhook'];
    expect(textOf('ios', { open: ['scep'], authenticators })).toContain(
      '! <SECRET>: a one-time secret: muster secret create --endpoint branch, or the secret of a list of devices: ' +
        'muster secret create --endpoint branch --kind static --allow <DEVICE>, or the challenge derived for this ' +
        "device: muster secret derive … --subject <DEVICE>, or the challenge that the endpoint's own decider expects\n",
    );
    const nobody = textOf('ios', { open: ['scep'], authenticators: [] });
    expect(nobody).toContain('a device proves itself by nothing, so none is admitted.');
  });
});
