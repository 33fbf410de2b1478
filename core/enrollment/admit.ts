import { describeKey } from '../authority/profile.ts';
import { PolicyError } from '../errors/muster-error.ts';
import { compileRule, type Rule, type RuleVariables } from '../policy/rule.ts';
import { generalNameToText } from '../x509/general-name.ts';
import { attributeTexts } from '../x509/name.ts';
import { ATTRIBUTE_TYPE } from '../x509/oids.ts';
import { publicKeysEqual } from '../x509/public-key.ts';
import { deviceName, type Principal } from './accept.ts';
import type { Endpoint } from './endpoint.ts';
import type { Appraisal, AttestationGate, Inventory, KnownDevice } from './ports.ts';
import type { EnrollmentRequest } from './request.ts';

/** What admission found: who the device is, and whether an operator must agree. */
export interface Admission {
  readonly deviceName: string;
  readonly needsOperator: boolean;
  /** What was noticed without refusing: reason codes of the gate in `observe`, for the operator. */
  readonly findings: readonly string[];
}

/** What admission asks. The gate is absent where none is wired: then evidence cannot be accepted. */
export interface AdmissionPorts {
  readonly gate: AttestationGate | undefined;
  readonly inventory: Inventory;
}

/**
 * Step 2 of the hall: attested? blocked? admitted by the endpoint's rules? by an operator?
 * @throws PolicyError with the reason of the first refusal.
 */
export async function admit(
  request: EnrollmentRequest,
  principal: Principal,
  ports: AdmissionPorts,
): Promise<Admission> {
  const { endpoint } = request;
  const name = deviceName(request);
  if (name === '')
    throw new PolicyError(
      'subject-not-allowed',
      'the request names no device: expected a serialNumber, a CN or a subjectAltName',
    );
  const device = await ports.inventory.find({ tenant: endpoint.tenant, name });
  if (device?.state === 'blocked') throw new PolicyError('device-blocked', 'the device is blocked');
  const attestation = await attest(request, principal, ports.gate);
  const variables =
    endpoint.admission.length > 0 || typeof endpoint.approval === 'object'
      ? variablesOf(request, principal, device, attestation)
      : {};
  for (const { name: rule, expression, message } of rulesOf(endpoint)) {
    if (!expression.evaluate(variables))
      throw new PolicyError('policy-refused', message ?? `refused by the admission rule ${rule}`);
  }
  return { deviceName: name, needsOperator: needsOperator(endpoint, variables), findings: attestation.findings };
}

interface Attestation {
  readonly affirmed: boolean;
  readonly identifiers: Readonly<Record<string, string>>;
  readonly findings: readonly string[];
}

const NOT_ATTESTED: Attestation = { affirmed: false, identifiers: {}, findings: [] };

/** The one place where evidence is bound to the key: the attested public key is the requested public key. */
async function attest(
  request: EnrollmentRequest,
  principal: Principal,
  gate: AttestationGate | undefined,
): Promise<Attestation> {
  const { attestation: mode } = request.endpoint;
  if (mode === 'off' || principal.renews !== undefined) return NOT_ATTESTED;
  const appraisal = gate && request.evidence ? await gate.appraise(request.evidence, request.endpoint) : undefined;
  const refusal = refusalOf(appraisal, request);
  if (refusal === undefined && appraisal)
    return { affirmed: true, identifiers: appraisal.identifiers, findings: appraisal.findings };
  if (mode === 'enforce') {
    throw appraisal
      ? new PolicyError('evidence-refused', `attestation refused: ${refusal}`)
      : new PolicyError('evidence-required', 'this endpoint asks for attestation evidence and none was accepted');
  }
  return { ...NOT_ATTESTED, findings: [refusal ?? 'no-evidence', ...(appraisal?.findings ?? [])] };
}

function refusalOf(appraisal: Appraisal | undefined, request: EnrollmentRequest): string | undefined {
  if (!appraisal) return 'no-evidence';
  if (appraisal.verdict === 'refused') return appraisal.findings.join(', ') || 'refused';
  const attested = appraisal.attestedPublicKey;
  return attested && publicKeysEqual(attested, request.publicKey) ? undefined : 'attested-key-is-another';
}

interface CompiledAdmissionRule {
  readonly name: string;
  readonly expression: Rule;
  readonly message: string | undefined;
}

/** Compiled rules live as long as the endpoint object they belong to: a new revision is a new object. */
const compiled = new WeakMap<Endpoint, { rules: readonly CompiledAdmissionRule[]; approval: Rule | undefined }>();

function compiledOf(endpoint: Endpoint): { rules: readonly CompiledAdmissionRule[]; approval: Rule | undefined } {
  const known = compiled.get(endpoint);
  if (known) return known;
  const fresh = {
    rules: endpoint.admission.map(({ name, rule, message }) => ({ name, expression: compileRule(rule), message })),
    approval: typeof endpoint.approval === 'object' ? compileRule(endpoint.approval.when) : undefined,
  };
  compiled.set(endpoint, fresh);
  return fresh;
}

function rulesOf(endpoint: Endpoint): readonly CompiledAdmissionRule[] {
  return endpoint.admission.length === 0 ? [] : compiledOf(endpoint).rules;
}

function needsOperator(endpoint: Endpoint, variables: RuleVariables): boolean {
  if (endpoint.approval === 'automatic') return false;
  if (endpoint.approval === 'manual') return true;
  return compiledOf(endpoint).approval!.evaluate(variables);
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
    principal: { kind: principal.kind, username: principal.secret?.username ?? '' },
    device: { known: device !== undefined, state: device?.state ?? '', name: deviceName(request) },
    evidence: { affirmed: attestation.affirmed, identifiers: { ...attestation.identifiers } },
    endpoint: { label: endpoint.label, tenant: endpoint.tenant },
  };
}
