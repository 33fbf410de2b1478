import { Session } from 'node:inspector/promises';
import { Agent, request } from 'node:http';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { buildMessage, selfSigned } from './device.ts';
import { readCertRep } from './reply.ts';
import { ScepSite } from './scep-site.ts';
const site = await ScepSite.start();
const recipient = await site.recipient();
const N = 2600;
const key = makeKey('rsa-2048');
const msgs: Uint8Array[] = [];
for (let i = 0; i < N; i++) {
  const c = await site.challenge();
  const k = key;
  const { der: content } = makeCsr({ subject: `CN=d${i}`, key: k, challengePassword: c });
  msgs.push(await buildMessage({ signer: selfSigned({ subject: `CN=d${i}`, key: k }), content, recipient, transactionId: `t${i}` }));
}
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const post = (body: Uint8Array) => new Promise<Buffer>((res, rej) => {
  const r = request(`${site.composed.plain}/scep/default?operation=PKIOperation`, { method: 'POST', agent, headers: { 'Content-Length': body.length } }, (x) => { const ch: Buffer[] = []; x.on('data', (d) => ch.push(d)); x.on('end', () => res(Buffer.concat(ch))); });
  r.on('error', rej); r.end(body);
});
for (const m of msgs.splice(0, 1400)) await post(m);
const session = new Session(); session.connect(); await session.post('Profiler.enable'); await session.post('Profiler.start');
const c0 = process.cpuUsage(); const t0 = performance.now(); const el0 = performance.eventLoopUtilization();
let ok = 0;
await Promise.all(Array.from({ length: 32 }, async () => { for (let m; (m = msgs.pop()); ) { const b = await post(m); if (b.length > 1500) ok++; else console.log(readCertRep(b).failInfoText); } }));
const c = process.cpuUsage(c0); const dt = performance.now() - t0; const elu = performance.eventLoopUtilization(el0);
console.log({ ok, rate: ok / dt * 1000, cpuMsPerOp: (c.user + c.system) / 1000 / ok, elu: elu.utilization, loopMsPerOp: elu.active / ok });
const { profile } = await session.post('Profiler.stop'); (await import('node:fs')).writeFileSync('/tmp/scep-prof/zz.cpuprofile', JSON.stringify(profile));
await site[Symbol.asyncDispose]();
process.exit(0);
