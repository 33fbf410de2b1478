import type { PlannedService, ServiceSettings } from '../sdk/plan.ts';
import { shellWord } from '../sdk/render.ts';
import { SERVICE_KINDS } from './kinds.ts';

/** Exit statuses of the scripts below; each means one failure. */
export const STATUS = {
  70: 'tool-missing',
  71: 'layout-missing',
  72: 'folder-read-only',
  73: 'storage-full',
  74: 'configuration-broken',
  76: 'key-mismatch',
  77: 'undone-by-device',
  78: 'service-refuses',
  80: 'still-in-use',
} as const;

/** The texts that scripts of one service of one plan are made of. */
export interface Place {
  readonly service: PlannedService;
  /** Name of the new folder below `versions/`: letters, digits, hyphens. */
  readonly version: string;
}

/** Kilobytes that must be free: a key, a chain and room to write. */
const FREE_KILOBYTES = 256;

const KEY_OPTIONS: Readonly<Record<ServiceSettings['key'], string>> = {
  'ec-p256': '-algorithm EC -pkeyopt ec_paramgen_curve:P-256',
  'ec-p384': '-algorithm EC -pkeyopt ec_paramgen_curve:P-384',
  'rsa-2048': '-algorithm RSA -pkeyopt rsa_keygen_bits:2048',
  'rsa-3072': '-algorithm RSA -pkeyopt rsa_keygen_bits:3072',
};

/** Looks, and changes nothing: tools, folder, room, the service's own opinion; clock, link and fingerprint. */
export function discover({ service }: Place): string {
  return lines(
    'command -v openssl >/dev/null || exit 70',
    enter(service, 71),
    '[ -L current ] && [ -s current/certificate.pem ] || exit 71',
    '[ -w . ] || exit 72',
    `[ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -ge ${FREE_KILOBYTES} ] || exit 73`,
    ...check(service, 74),
    'echo "clock=$(date -u +%s)"',
    'echo "old=$(readlink current)"',
    `echo "filed=$(${fingerprint('current/certificate.pem')})"`,
  );
}

/** Makes the key where it stays; a second run keeps the first key. */
export function makeKey({ service, version }: Place): string {
  const { key, group } = service.settings;
  return lines(
    enter(service, 71),
    'umask 077',
    `mkdir -p versions/${version}`,
    `cd versions/${version}`,
    '[ ! -L verdict ] || exit 77',
    'if [ ! -s key.pem ]; then',
    `  openssl genpkey ${KEY_OPTIONS[key]} -out key.part 2>/dev/null`,
    ...(group === undefined ? [] : [`  chgrp ${shellWord(group)} . key.part`, '  chmod 750 .', '  chmod 640 key.part']),
    '  mv -f key.part key.pem',
    'fi',
  );
}

/** Prints a PKCS #10 request by that key. */
export function makeRequest({ service, version }: Place, commonName: string): string {
  const names = service.names.map(toOpenssl).join(',');
  const extension = names === '' ? '' : ` -addext ${shellWord(`subjectAltName=${names}`)}`;
  return lines(
    enter(service, 71),
    `openssl req -new -key versions/${version}/key.pem -subj ${shellWord(`/CN=${commonName}`)}${extension}`,
  );
}

/** The certificate must be of the key that is beside it. */
export function matchKey({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `cd versions/${version}`,
    'of_certificate=$(openssl x509 -in certificate.pem -noout -pubkey)',
    'of_key=$(openssl pkey -in key.pem -pubout)',
    '[ "$of_certificate" = "$of_key" ] || exit 76',
    ...(service.settings.group === undefined
      ? []
      : [`chgrp ${shellWord(service.settings.group)} certificate.pem`, 'chmod 640 certificate.pem']),
  );
}

/**
 * Starts the dead-man: unless a verdict is made first, it makes one and puts the old certificate back. `ln -s` without -f makes
 * the verdict for exactly one of those who try.
 */
export function arm({ service, version }: Place, seconds: number): string {
  return lines(
    enter(service, 71),
    `cd versions/${version}`,
    '[ ! -L verdict ] || exit 77',
    'if [ -s timer.pid ] && kill -0 "$(cat timer.pid)" 2>/dev/null; then exit 0; fi',
    "cat >timer.sh <<'END-OF-TIMER'",
    `sleep ${seconds}`,
    `cd ${shellWord(service.settings.directory)} || exit 1`,
    `ln -s expired versions/${version}/verdict || exit 0`,
    'ln -sfn "$1" current.timer && mv -T current.timer current',
    ...SERVICE_KINDS[service.kind]!.reload(service),
    'END-OF-TIMER',
    'if command -v setsid >/dev/null; then',
    '  setsid sh timer.sh {{old}} >/dev/null 2>&1 &',
    'else',
    '  nohup sh timer.sh {{old}} >/dev/null 2>&1 &',
    'fi',
    'echo $! >timer.pid',
  );
}

/** Flips the link and has the service read it. Who comes after a verdict changes nothing. */
export function bind({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `[ ! -L versions/${version}/verdict ] && [ -s versions/${version}/certificate.pem ] || exit 77`,
    flip(`versions/${version}`),
    `if [ -L versions/${version}/verdict ]; then`,
    `  ${flip('{{old}}')}`,
    '  exit 77',
    'fi',
    ...check(service, 78),
    ...reload(service, 78),
  );
}

/** Puts the old certificate back; the verdict comes first, so that nothing flips again afterwards. */
export function unbind({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `[ ! -d versions/${version} ] || ln -sfn rolled-back versions/${version}/verdict`,
    flip('{{old}}'),
    ...check(service, 74),
    ...reload(service, 74),
  );
}

/** What the device says of the link and the file behind it. */
export function readBack({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `[ "$(readlink current)" = versions/${version} ] || exit 77`,
    `echo "readBack=$(${fingerprint('current/certificate.pem')})"`,
  );
}

/** Confirms: from here on the dead-man finds a verdict. */
export function confirm({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `cd versions/${version}`,
    'ln -s confirmed verdict 2>/dev/null || [ "$(readlink verdict)" = confirmed ] || exit 77',
    ...disarm(),
  );
}

/** Stops the dead-man for good, whatever it was going to do. */
export function standDown({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `[ -d versions/${version} ] || exit 0`,
    `cd versions/${version}`,
    'ln -sfn rolled-back verdict',
    ...disarm(),
  );
}

/** Takes key, request and certificate of the plan away, and looks that they are gone. */
export function discard({ service, version }: Place): string {
  return lines(
    enter(service, 71),
    `[ "$(readlink current)" != versions/${version} ] || exit 80`,
    `rm -rf versions/${version}`,
    `[ ! -e versions/${version} ]`,
  );
}

/** Takes the certificate before this one away, if an earlier plan brought it and nothing uses it. */
export function retire({ service }: Place): string {
  return lines(
    enter(service, 71),
    'old={{old}}',
    `case "$old" in versions/*[!a-z0-9-]*) exit 0 ;; versions/?*) ;; *) exit 0 ;; esac`,
    '[ "$(readlink current)" != "$old" ] || exit 80',
    'rm -rf "$old"',
    '[ ! -e "$old" ]',
  );
}

function disarm(): readonly string[] {
  return [
    'if [ -s timer.pid ]; then',
    '  timer=$(cat timer.pid)',
    '  kill -- "-$timer" 2>/dev/null || kill "$timer" 2>/dev/null || :',
    'fi',
    'rm -f timer.pid timer.sh',
  ];
}

function enter({ settings }: PlannedService, status: number): string {
  return `cd ${shellWord(settings.directory)} || exit ${status}`;
}

/** rename(2) replaces the link in one step; `ln -sf` alone would take it away first. */
function flip(target: string): string {
  return `ln -sfn ${target} current.part && mv -T current.part current`;
}

function check(service: PlannedService, status: number): readonly string[] {
  return SERVICE_KINDS[service.kind]!.check(service).map((line) => `${line} || exit ${status}`);
}

function reload(service: PlannedService, status: number): readonly string[] {
  return SERVICE_KINDS[service.kind]!.reload(service).map((line) => `${line} || exit ${status}`);
}

function fingerprint(file: string): string {
  return `openssl x509 -in ${file} -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f`;
}

/** `dns:gw` and `ip:192.0.2.1` as openssl's subjectAltName has them. */
function toOpenssl(name: string): string {
  return name.replace(/^dns:/i, 'DNS:').replace(/^ip:/i, 'IP:');
}

function lines(...all: readonly string[]): string {
  // Logins that are not root's have no way to nginx.
  return `${['PATH="$PATH:/usr/sbin:/sbin"', ...all].join('\n')}\n`;
}
