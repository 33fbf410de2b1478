import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Fault, faultOf } from './fault.ts';

/** How a listener words its errors: JSON for programs and people at a desk, text for devices. Never HTML, never a stack. */
export type FaultRendering = 'problem' | 'text';

/** Makes every error of a listener, thrown anywhere and by anything, come out in one form. */
export function renderFaults(app: FastifyInstance, rendering: FaultRendering): void {
  app.setErrorHandler((error, request, reply) => sendFault(error, request, reply, rendering));
}

/** Logs what an operator must see and answers what the peer may. */
export function sendFault(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  rendering: FaultRendering,
): FastifyReply {
  const fault = faultOf(error);
  if (fault.status >= 500) request.log.error({ error, reason: fault.reason }, 'request failed');
  else request.log.debug({ error, reason: fault.reason }, 'request refused');
  reply.code(fault.status);
  if (fault.status === 401 && !reply.hasHeader('www-authenticate')) reply.header('www-authenticate', 'Bearer');
  if (fault.retryAfterSeconds !== undefined) reply.header('retry-after', String(fault.retryAfterSeconds));
  return rendering === 'problem' ? sendProblem(fault, request, reply) : sendText(fault, request, reply);
}

/** RFC 9457 §3: problem details; `code` is the stable reason, `hint` what to do, `errors` the fields at fault. */
function sendProblem(fault: Fault, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = {
    type: `urn:muster:reason:${fault.reason}`,
    title: fault.reason.replaceAll('-', ' '),
    status: fault.status,
    code: fault.reason,
    detail: fault.detail,
    hint: fault.hint,
    requestId: request.id,
    ...(fault.fields.length > 0 && { errors: fault.fields }),
    ...(fault.current !== undefined && { current: fault.current }),
  };
  // Serialised here: a route's response schemas describe its successes.
  return reply.type('application/problem+json').serializer(JSON.stringify).send(problem);
}

function sendText(fault: Fault, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const id = fault.status >= 500 ? ` (request ${request.id})` : '';
  return reply.type('text/plain').serializer(String).send(`${fault.detail}${id}\n`);
}
