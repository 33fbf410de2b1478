import { Type } from 'typebox';
import type { ApiScope } from './type-provider.ts';

/** What a check found: fine, not fit for production, or broken; and what mends it. */
export interface DoctorFinding {
  /** Stable name of the check. */
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly text: string;
  readonly remedy?: string;
}

/** Looks the installation over. */
export type Doctor = () => Promise<readonly DoctorFinding[]>;

const findingView = Type.Object({
  check: Type.String({ description: 'Stable name of the check.' }),
  state: Type.Enum(['ok', 'warning', 'failed']),
  text: Type.String(),
  remedy: Type.Optional(Type.String({ description: 'What mends it.' })),
});

/** `GET /doctor`: what is broken or not fit for production. */
export function doctorRoutes(app: ApiScope, doctor: Doctor): void {
  app.get(
    '/doctor',
    {
      config: { access: 'system:read', about: 'installation' },
      schema: {
        tags: ['system'],
        summary: 'What is broken or not fit for production, and what mends it',
        response: { 200: Type.Object({ findings: Type.Array(findingView) }) },
      },
    },
    async () => ({ findings: [...(await doctor())] }),
  );
}
