/** Tables of calls: what a row holds to, and what became of it. */

import type { Isola } from "@isola/sdk";

/** It is right where it ends, and wrong with what it throws. */
export type Row = (client: Isola, url: string) => Promise<void>;

interface Running {
  /** What a row's name must have in it. */
  readonly only: string;
  /** A row that takes longer never ends. */
  readonly patienceMs: number;
}

export function equal(found: unknown, expected: unknown): void {
  const [one, other] = [JSON.stringify(found), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${one}, and not ${other}`);
}

export function holds(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not so: ${what}`);
}

export function same(found: Uint8Array, expected: Uint8Array): void {
  holds(found.length === expected.length && found.every((byte, index) => byte === expected[index]), "every byte is right");
}

type Kind<T> = abstract new (...args: never[]) => T;

/** Return what an action throws, which is of that kind. */
export async function thrown<T extends Error>(kind: Kind<T>, action: () => unknown): Promise<T> {
  try {
    await action();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`no ${kind.name}`);
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)));
}

export function bytes(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Run all rows at once; return what went wrong with each, or null. */
export async function outcomes(table: Record<string, Row>, client: Isola, url: string, running: Running): Promise<Record<string, string | null>> {
  const rows = Object.entries(table).filter(([name]) => name.includes(running.only));
  return Object.fromEntries(await Promise.all(rows.map(async ([name, row]) => [name, await outcome(row(client, url), running.patienceMs)] as const)));
}

async function outcome(ends: Promise<void>, patienceMs: number): Promise<string | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), patienceMs);
  });
  try {
    await Promise.race([ends, hangs]);
    return null;
  } catch (error) {
    return error instanceof Error ? `${error.stack ?? error.message} ${String(error.cause ?? "")}` : String(error);
  } finally {
    clearTimeout(timer);
  }
}
