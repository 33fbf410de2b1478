import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addReading, type ResourceCommands } from './resource.ts';

interface Evidence {
  readonly id: string;
  readonly type: string;
  readonly verdict: string;
  readonly identity?: string;
  readonly createdAt: string;
  readonly decision?: {
    readonly outcome: string;
    readonly device?: string;
    readonly faults: readonly { readonly code: string }[];
  };
}

const kind: ResourceCommands<Evidence> = {
  noun: 'evidence',
  path: '/evidence',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'at', value: (row) => row.createdAt },
    { title: 'type', value: (row) => row.type },
    { title: 'verdict', value: (row) => row.verdict },
    { title: 'decision', value: (row) => row.decision?.outcome },
    { title: 'device', value: (row) => row.decision?.device ?? row.identity },
    { title: 'because', value: (row) => row.decision?.faults.map(({ code }) => code).join(' ') },
  ],
  filters: [
    ['verdict', 'verdict', 'only affirmed or refused ones'],
    ['decision', 'decision', 'only admitted, observed or refused ones'],
    ['type', 'type', 'only of one kind'],
    ['identity', 'identity', 'only those of one device, kind:value'],
  ],
  example: '0190b2a4-…',
};

/** `muster evidence …` */
export function evidenceCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('evidence').description('what the attestation gate made of evidence, newest first');
  addReading(group, sessionOf, kind);
}
