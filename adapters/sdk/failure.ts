/** How a failure is met: the same once more over a new connection, or not at all. */
interface FailureEntry {
  /** What an engineer does about it. */
  readonly text: string;
  /** Whether the same may work a moment later. */
  readonly passing: boolean;
}

const table = {
  'ssh-unreachable': { passing: true, text: 'nothing answers at the address and port of the device; see its access' },
  'ssh-timeout': { passing: true, text: 'the device did not answer in time; look at its load and the path to it' },
  'ssh-closed': { passing: true, text: 'the device closed the connection in the middle; did it restart?' },
  'ssh-host-key': {
    passing: false,
    text: 'the host key is not the pinned one: another machine answers, or the key was changed; compare it on the console before the pin is changed',
  },
  'ssh-authentication': { passing: false, text: 'the device refused the user or its credential; see its access' },
  'ssh-protocol': {
    passing: false,
    text: 'the device and Muster found no common SSH algorithm, or it does not speak SSH',
  },
  'ssh-output-limit': { passing: false, text: 'a command wrote more than it ever should; run it by hand and look' },
  'command-failed': { passing: false, text: 'a command ended badly; its words are in the transcript' },
  'unexpected-output': { passing: false, text: 'a command did not answer what it was expected to; see the transcript' },
  'upload-damaged': { passing: true, text: 'a file arrived changed; is the storage of the device failing or full?' },
  'tool-missing': { passing: false, text: 'openssl is not installed on the device' },
  'layout-missing': {
    passing: false,
    text: 'the folder of the service has no link `current` to a folder with certificate.pem; set it up once as the documentation says',
  },
  'folder-read-only': { passing: false, text: 'the user may not write the folder of the service' },
  'storage-full': { passing: false, text: 'too little room is left where the certificates are' },
  'configuration-broken': {
    passing: false,
    text: 'the service does not accept its configuration as it is, before anything was changed; mend that first',
  },
  'clock-wrong': { passing: false, text: 'the clock of the device is more than five minutes off; set it by NTP' },
  'served-is-another': {
    passing: false,
    text: 'the service serves another certificate than the one in its folder: a change that was not activated, or a wrong address; nothing was changed',
  },
  'csr-is-another': { passing: false, text: 'the request made on the device is not the one the plan asks for' },
  'issue-refused': { passing: false, text: 'no certificate was issued; the enrolment says why' },
  'endpoint-closed': { passing: false, text: 'the endpoint of the service is gone, or not open for adapters' },
  'key-mismatch': { passing: false, text: 'the certificate does not fit the key that was made on the device' },
  'undone-by-device': {
    passing: false,
    text: 'the timer on the device had put the old certificate back before the new one was confirmed; try again',
  },
  'service-refuses': {
    passing: false,
    text: 'the service does not take the new certificate; its words are in the transcript',
  },
  'still-in-use': { passing: false, text: 'the old certificate is in use again and stays' },
  'tls-unreachable': { passing: true, text: 'no TLS server answers at the address and port of the service' },
  'not-served': { passing: false, text: 'the service was told to take the certificate and serves another one' },
} as const satisfies Record<string, FailureEntry>;

/** Why something on a device did not go as planned. */
export type FailureCode = keyof typeof table;

/** Every code with what to do about it. */
export const FAILURES: Readonly<Record<FailureCode, FailureEntry>> = Object.freeze(table);

/** A failure of a device, typed. `detail` may hold words of the device, cut and printable; never a secret. */
export class DeviceFailure extends Error {
  readonly code: FailureCode;
  readonly detail: string;

  constructor(code: FailureCode, detail: string, cause?: unknown) {
    super(`${code}: ${detail}`, cause === undefined ? undefined : { cause });
    this.name = 'DeviceFailure';
    this.code = code;
    this.detail = detail;
  }
}
