/** What one execution of a statement gave. */
export interface Executed {
  /** Rows of a query or of RETURNING. */
  readonly rows: unknown[];
  /** Rows inserted, updated or deleted. */
  readonly affected: number;
}
