import { printable } from './terminal.ts';

/** A column of a table. */
export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | boolean | undefined;
  /** What is copied and pasted (ids, fingerprints) is never cut. */
  readonly whole?: boolean;
}

const gap = 2;
const narrowest = 8;

/** A table that fits into `width` characters, if cutting long texts can make it; without a width nothing is cut. */
export function formatTable<T>(columns: readonly Column<T>[], rows: readonly T[], width: number | undefined): string {
  const cells = rows.map((row) => columns.map((column) => printable(String(column.value(row) ?? '-'))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => line[index]!.length)),
  );
  if (width !== undefined) shrink(widths, columns, width);
  const lines = [columns.map((column) => column.title.toUpperCase()), ...cells];
  return lines
    .map(
      (line) =>
        line
          .map((cell, index) => fit(cell, widths[index]!))
          .join(' '.repeat(gap))
          .trimEnd() + '\n',
    )
    .join('');
}

/** Names and values, a line each. */
export function formatFields(fields: readonly (readonly [string, unknown])[]): string {
  const present = fields.filter(([, value]) => value !== undefined);
  const width = Math.max(...present.map(([name]) => name.length)) + gap;
  return present.map(([name, value]) => `${name.padEnd(width)}${printable(fieldText(value))}\n`).join('');
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(', ') || 'none';
  return JSON.stringify(value);
}

/** Takes from the widest columns, one character at a time, until the line fits or nothing can be cut. */
function shrink<T>(widths: number[], columns: readonly Column<T>[], width: number): void {
  const total = () => widths.reduce((sum, each) => sum + each, gap * (widths.length - 1));
  while (total() > width) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const cuttable = column.whole !== true && widths[index]! > narrowest;
      if (cuttable && (widest < 0 || widths[index]! > widths[widest]!)) widest = index;
    }
    if (widest < 0) return;
    widths[widest]! -= 1;
  }
}

function fit(cell: string, width: number): string {
  return cell.length <= width ? cell.padEnd(width) : `${cell.slice(0, width - 1)}…`;
}
