/** Lists, a page at a time. */

import type { Api, CallOptions } from "./api.js";
import type { Labels } from "./models.js";
import { type Query, request } from "./protocol/messages.js";

export interface PageOptions {
  /** How many are asked for at a time, at most 1000. Default: all. */
  readonly pageSize?: number | undefined;
}

export async function* pages<T>(api: Api, parts: readonly string[], field: string, query: Query, call: CallOptions): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined;
  do {
    const { told } = await api.ask<Record<string, unknown>>(request("GET", parts, { ...query, cursor }), [field], call);
    yield* told[field] as T[];
    cursor = told["nextCursor"] as string | undefined;
  } while (cursor);
}

/** Return a filter by labels as it is sent: `a=1,b!=2`, or all of an object. */
export function selector(labels: Labels | string | undefined): string | undefined {
  if (labels === undefined || typeof labels === "string") return labels;
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(",");
}
