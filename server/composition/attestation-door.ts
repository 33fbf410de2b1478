import { appendAudit } from '../../core/audit/log.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { createSecret } from '../../core/enrollment/secrets.ts';
import type { Unit } from '../../core/store/store.ts';
import { EvidenceFault } from '../../devices/attestation/findings.ts';
import type { AttestationDependencies, TicketOffice, TicketOrder } from '../../protocols/attestation/dependencies.ts';
import { EvidenceRefusal } from '../../protocols/attestation/evidence-refusal.ts';
import type { Kernel } from './kernel.ts';

/** Who makes tickets, as audit entries name it. */
const ACTOR = 'system:attestation';

/** What the attestation front door stands on. */
export function attestationDependencies(kernel: Kernel): AttestationDependencies {
  const { gate } = kernel;
  return {
    ...kernel,
    activation: {
      begin: (endpoint, registration) => refusing(() => gate.beginActivation(endpoint, registration)),
    },
    tickets: ticketOffice(kernel),
  };
}

/** A fault of evidence is a refusal with its code; the detail is for operators, in the verdict. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EvidenceFault) throw new EvidenceRefusal([error.code], { cause: error });
    throw error;
  }
}

/** Tickets are one-time secrets: passwords, and for CMP secrets of a MAC. */
function ticketOffice({
  store,
  secretHash,
  dataKeys,
}: Pick<Kernel, 'store' | 'secretHash' | 'dataKeys'>): TicketOffice {
  return {
    async issue(endpoint, order) {
      const now = store.clock.now();
      const request = { ...commonOf(endpoint, order), usage: 'one-time' } as const;
      if (order.protocol !== 'cmp') {
        return store.unit(async (tx) => {
          const made = await createSecret(tx, secretHash, now, request);
          await recordTicket(tx, endpoint, order, { id: made.id, now });
          return { ...made, reference: undefined };
        });
      }
      const sealer = await dataKeys.sealer(endpoint.tenant);
      return store.unit(async (tx) => {
        const made = await createMacSecret(tx, sealer, now, request);
        await recordTicket(tx, endpoint, order, { id: made.id, now });
        return made;
      });
    },
  };
}

function commonOf({ tenant, id: endpoint }: Endpoint, { device, attested, lifetimeSeconds }: TicketOrder) {
  return { tenant, endpoint, subject: device, attested, lifetimeSeconds, createdBy: ACTOR };
}

function recordTicket(
  tx: Unit,
  endpoint: Endpoint,
  { protocol, device, attested, sourceAddress: source }: TicketOrder,
  { id, now: at }: { readonly id: string; readonly now: number },
): Promise<void> {
  return appendAudit(tx, {
    tenant: endpoint.tenant,
    at,
    actor: ACTOR,
    action: 'secret.created',
    object: `secret:${id}`,
    outcome: 'success',
    details: {
      endpoint: endpoint.label,
      usage: 'one-time',
      by: 'attestation',
      protocol,
      device,
      evidence: attested.evidenceId,
      source,
    },
  });
}
