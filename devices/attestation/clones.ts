import { appendAudit } from '../../core/audit/log.ts';
import type { Appraisal, Candidate, EvidenceDecision } from '../../core/enrollment/ports.ts';
import { PolicyError } from '../../core/errors/muster-error.ts';
import type { Unit } from '../../core/store/store.ts';
import { raiseAlarm } from '../inventory/alarms.ts';
import { type EarlierEnrollment, earlierEnrollments, holdIdentity } from '../inventory/identities.ts';

/** The kind of alarm that a second device with one identity raises. */
const CLONE_ALARM = 'identity-cloned';

/** An identity that a second device seems to show. */
export interface CloneAlarm {
  readonly tenant: string;
  readonly identity: string;
  /** The enrolment that raised it; undefined where none was opened. */
  readonly enrollment: string | undefined;
  /** Enrolments under other keys that are still in force. */
  readonly others: readonly string[];
  /** Whether the enrolment that raised it was refused. */
  readonly refused: boolean;
}

interface Raising {
  readonly tenant: string;
  readonly profile: string;
  readonly appraisal: Appraisal;
  readonly decision: EvidenceDecision;
  readonly oneTime: boolean;
  /** Called after commit. */
  readonly tell: (alarm: CloneAlarm) => void;
}

/** Whether an identity that may enrol once has done so; a renewal and the account that has it already are no second use. */
export function wasUsedBefore(earlier: readonly EarlierEnrollment[], candidate: Candidate): boolean {
  return !isSameHolder(earlier, candidate) && earlier.some(({ counts }) => counts);
}

/**
 * Raises the alarm, in the unit that decides, when evidence of an identity came with another key than that of an enrolment of it
 * which is still in force. A device that was reset looks alike: it is an operator who can tell.
 */
export async function raiseIfCloned(
  tx: Unit,
  { tenant, profile, appraisal, decision, oneTime, tell }: Raising,
): Promise<void> {
  const { identity, verdict } = appraisal;
  if (identity === undefined || verdict !== 'affirmed') return;
  const { at, enrollment, spkiSha256 } = decision;
  const refused = decision.decision === 'refused';
  // At fault for its key or its name, it has not shown to be the device.
  const admitted = decision.decision === 'admitted';
  if (!admitted && !decision.faults.includes('identity-used')) return;
  await holdIdentity(tx, tenant, identity, at);
  const all = await earlierEnrollments(tx, { tenant, profile, identity }, at);
  const earlier = all.filter((one) => one.enrollment !== enrollment);
  if (isSameHolder(earlier, decision)) return;
  if (oneTime && admitted) requireUnused(earlier, decision);
  const others = earlier.filter((one) => one.live && one.spkiSha256 !== spkiSha256).map((one) => one.enrollment);
  if (others.length === 0) return;
  const alarm: CloneAlarm = { tenant, identity, enrollment, others, refused };
  const details = { ...alarm, device: decision.name, enrollment: enrollment ?? null, others: [...others] };
  const { tenant: _tenant, ...shown } = details;
  await raiseAlarm(tx, { tenant, kind: CLONE_ALARM, object: identity, details: shown, at });
  await appendAudit(tx, {
    tenant,
    at,
    actor: `device:${decision.name}`,
    action: 'identity.cloned',
    object: `identity:${identity}`,
    outcome: refused ? 'refused' : 'success',
    details: shown,
  });
  tx.onCommitted(() => tell(alarm));
}

function requireUnused(earlier: readonly EarlierEnrollment[], candidate: Candidate): void {
  if (wasUsedBefore(earlier, candidate))
    throw new PolicyError('evidence-refused', 'attestation refused: identity-used');
}

/** Whether who asks has shown to be who enrolled before: by the certificate it renews, or by what nobody else has. */
function isSameHolder(earlier: readonly EarlierEnrollment[], { renews, continuity }: Candidate): boolean {
  if (renews !== undefined && earlier.some(({ certificate }) => certificate === renews)) return true;
  return continuity !== undefined && earlier.every((one) => one.continuity === continuity);
}
