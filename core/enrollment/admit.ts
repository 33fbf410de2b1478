import { describeKey } from '../authority/profile.ts';
import { PolicyError } from '../errors/muster-error.ts';
import { compileRule, type Rule, type RuleVariables } from '../policy/rule.ts';
import { generalNameToText } from '../x509/general-name.ts';
import { attributeTexts, type Name } from '../x509/name.ts';
import { ATTRIBUTE_TYPE } from '../x509/oids.ts';
import { deviceName, type Principal } from './accept.ts';
import { type Attestation, requireAttested } from './attest.ts';
import type { Endpoint } from './endpoint.ts';
import type { DeviceIdentity, Inventory, KnownDevice } from './ports.ts';
import type { EnrollmentRequest } from './request.ts';

/** What admission found. */
export interface Admission {
  readonly needsOperator: boolean;
  /** What was noticed without refusing: what `enforce` would have refused for, where the endpoint observes. */
  readonly findings: readonly string[];
}

/** What admission asks. */
export interface AdmissionPorts {
  readonly inventory: Inventory;
}

/**
 * Step 2 of the hall: attested? blocked? admitted by the endpoint's rules? by an operator?
 * @throws PolicyError with the reason of the first refusal.
 */
export async function admit(
  request: EnrollmentRequest,
  principal: Principal,
  attestation: Attestation,
  ports: AdmissionPorts,
): Promise<Admission> {
  const { endpoint } = request;
  const name = requireDeviceName(request);
  const device = await requireNotBlocked(ports.inventory, { tenant: endpoint.tenant, name });
  requireAttested(attestation);
  const variables =
    endpoint.admission.length > 0 || typeof endpoint.approval === 'object'
      ? variablesOf(request, principal, device, attestation)
      : {};
  const { rules, approval } = await compiledOf(endpoint);
  for (const { name: rule, expression, message } of rules) {
    if (!expression.evaluate(variables))
      throw new PolicyError('policy-refused', message ?? `refused by the admission rule ${rule}`);
  }
  return { needsOperator: needsOperator(endpoint, approval, variables), findings: attestation.faults };
}

/**
 * The device, if the tenant knows it.
 * @throws PolicyError `device-blocked`.
 */
export async function requireNotBlocked(
  inventory: Inventory,
  identity: DeviceIdentity,
): Promise<KnownDevice | undefined> {
  const device = await inventory.find(identity);
  if (device?.state === 'blocked') throw new PolicyError('device-blocked', 'the device is blocked');
  return device;
}

/** Longest name of a device, in characters: it is a key of the inventory, and both engines bound those. */
const MAX_DEVICE_NAME = 255;

function requireDeviceName(request: EnrollmentRequest): string {
  const name = deviceName(request);
  if (name === '') {
    throw new PolicyError(
      'subject-not-allowed',
      'the request names no device: expected a serialNumber, a CN or a subjectAltName',
    );
  }
  if (!isUnambiguous(request.subject))
    throw new PolicyError('subject-not-allowed', 'the subject names two devices: expected one serialNumber, or one CN');
  if (name.length > MAX_DEVICE_NAME || /\p{Cc}/u.test(name)) {
    throw new PolicyError(
      'subject-not-allowed',
      `the name of the device: expected at most ${MAX_DEVICE_NAME} characters and none of control`,
    );
  }
  return name;
}

/** Which of two values counts must not be left to who reads them. */
function isUnambiguous(subject: Name): boolean {
  const serialNumbers = attributeTexts(subject, ATTRIBUTE_TYPE.serialNumber);
  const naming = serialNumbers.length > 0 ? serialNumbers : attributeTexts(subject, ATTRIBUTE_TYPE.commonName);
  return new Set(naming).size <= 1;
}

interface CompiledAdmissionRule {
  readonly name: string;
  readonly expression: Rule;
  readonly message: string | undefined;
}

interface CompiledRules {
  readonly rules: readonly CompiledAdmissionRule[];
  readonly approval: Rule | undefined;
}

const NO_RULES: CompiledRules = { rules: [], approval: undefined };

/** Compiled rules live as long as the endpoint object they belong to: a new revision is a new object. */
const compiled = new WeakMap<Endpoint, CompiledRules>();

async function compiledOf(endpoint: Endpoint): Promise<CompiledRules> {
  if (endpoint.admission.length === 0 && typeof endpoint.approval !== 'object') return NO_RULES;
  const known = compiled.get(endpoint);
  if (known) return known;
  const fresh = {
    rules: await Promise.all(
      endpoint.admission.map(async ({ name, rule, message }) => ({
        name,
        expression: await compileRule(rule, name),
        message,
      })),
    ),
    approval: typeof endpoint.approval === 'object' ? await compileRule(endpoint.approval.when, 'approval') : undefined,
  };
  compiled.set(endpoint, fresh);
  return fresh;
}

function needsOperator({ approval: who }: Endpoint, approval: Rule | undefined, variables: RuleVariables): boolean {
  if (who === 'automatic') return false;
  return who === 'manual' || approval!.evaluate(variables);
}

/** What the requester named its secret by. */
function usernameOf({ secret }: Principal): string {
  if (secret === undefined) return '';
  return secret.kind === 'mac' ? secret.reference : secret.username;
}

/** The variables of admission and approval rules, as core/policy/README.md lists them. */
function variablesOf(
  request: EnrollmentRequest,
  principal: Principal,
  device: KnownDevice | undefined,
  attestation: Attestation,
): RuleVariables {
  const { subject, subjectAltName, publicKey, endpoint } = request;
  return {
    request: {
      protocol: request.protocol,
      operation: principal.renews === undefined ? 'enroll' : 'renew',
      commonName: attributeTexts(subject, ATTRIBUTE_TYPE.commonName)[0] ?? '',
      serialNumber: attributeTexts(subject, ATTRIBUTE_TYPE.serialNumber)[0] ?? '',
      organization: attributeTexts(subject, ATTRIBUTE_TYPE.organizationName)[0] ?? '',
      names: subjectAltName.map(generalNameToText),
      key: describeKey(publicKey.algorithm),
      source: request.sourceAddress,
    },
    principal: { kind: principal.kind, username: usernameOf(principal) },
    device: { known: device !== undefined, state: device?.state ?? '', name: deviceName(request) },
    evidence: evidenceVariables(attestation),
    endpoint: { label: endpoint.label, tenant: endpoint.tenant },
  };
}

/** What evidence says counts for the rules when nothing speaks against it. */
function evidenceVariables({ appraisal, faults }: Attestation): RuleVariables {
  if (appraisal === undefined || faults.length > 0) return { affirmed: false, type: '', identifiers: {}, claims: {} };
  const { type, identifiers, claims } = appraisal;
  return { affirmed: true, type, identifiers: { ...identifiers }, claims: { ...claims } };
}
