import { AsyncLocalStorage } from 'node:async_hooks';
import { InternalError } from '../errors/muster-error.ts';

/** A running unit as its engine sees it. */
export interface ScopedUnit {
  /** False from the moment the closure has settled or was given up. */
  readonly active: boolean;
}

/**
 * Knows which unit the current code runs in. A unit inside a unit would wait for itself for ever on SQLite and silently
 * run apart on PostgreSQL; a read through the outer handle would not see the unit's own writes. Both are refused here.
 */
export class UnitScope<U extends ScopedUnit> {
  readonly #storage = new AsyncLocalStorage<U>();

  /** Calls `work` inside `unit`. */
  run<T>(unit: U, work: () => T): T {
    return this.#storage.run(unit, work);
  }

  /** The unit this code belongs to, which refuses by itself when it is over. @throws InternalError outside of one. */
  current(): U {
    const unit = this.#storage.getStore();
    if (unit === undefined) throw new InternalError('the handle of a unit of work was used outside of it');
    return unit;
  }

  /** @throws InternalError when this code runs inside a unit. */
  assertOutside(what: string): void {
    if (this.#storage.getStore()?.active === true) {
      throw new InternalError(`${what} was used inside a unit of work; use the unit's own handle`);
    }
  }
}
