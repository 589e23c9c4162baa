/** What happened to a sandbox or a snapshot: entries as they were written, and what they prove. */

import type { Api, CallOptions } from "./api.js";
import { APIConnectionError, IsolaError, NotFoundError, StreamLostError, TamperedHistoryError } from "./errors.js";
import { Chain, type RawEntry } from "./protocol/chain.js";
import { nameOf, request, withHeaders } from "./protocol/messages.js";
import { isObject } from "./protocol/problems.js";
import { lostAt } from "./streams.js";
import { events } from "./watching.js";

export type HistoryKind = "sandboxes" | "rootfs-snapshots";

/** The type of the last entry that a sandbox's log ever gets. */
const LAST = "Terminated";

/** One thing that happened. */
export interface HistoryEntry {
  /** Its number, from 1 on. */
  readonly sequence: number;
  /** What it is about, such as `Ready`. */
  readonly type: string;
  /** Whether that holds since. */
  readonly status: "True" | "False" | "Unknown";
  /** Why, in one word. */
  readonly reason: string;
  /** Why, for people. */
  readonly message: string;
  /** When. */
  readonly lastTransitionTime: string;
  /** Who wrote it, and on whose behalf. */
  readonly actor: string;
  /** Of the request that it came of. */
  readonly requestId?: string | undefined;
  /** Of the object, as its writer saw it. */
  readonly observedGeneration: number;
  /** Facts. */
  readonly data?: Readonly<Record<string, string>> | undefined;
  /** Of it and of all before it. */
  readonly digest: string;
}

/** All that happened, the oldest first. */
export interface History {
  /** Of the sandbox, or snapshot. */
  readonly id: string;
  /** Of all that had this id, this one is told about. */
  readonly uid: string;
  /** Whether it is gone, and this is its record. */
  readonly deleted: boolean;
  readonly entries: readonly HistoryEntry[];
  /** For each entry, the status with it. */
  readonly phases: readonly string[];
  /** For each entry, the seconds since the one before; null of the first. */
  readonly sincePreviousSeconds: readonly (number | null)[];
  /** What all of it comes to, for people, and what can be done about it, where something can. */
  readonly verdict: { readonly sentence: string; readonly advice?: string | undefined };
}

/**
 * Return the last digest of a history, to be noted elsewhere, if every entry follows from those before.
 *
 * `TamperedHistoryError`: one does not; `sequence` says which.
 */
export async function verifyHistory({ uid, entries }: Pick<History, "uid" | "entries">): Promise<string> {
  const chain = new Chain(uid);
  for (const entry of entries) await chain.follow(entry as unknown as RawEntry);
  return chain.last;
}

export interface HistoryOptions extends CallOptions {
  /** Which one, where several had this id one after the other. */
  readonly uid?: string | undefined;
}

export interface FollowOptions extends HistoryOptions {
  /** Whether each entry is held to the digests before it. Default: true. */
  readonly verify?: boolean | undefined;
}

/** Return a whole history. */
export async function readHistory(api: Api, kind: HistoryKind, id: string, { uid, ...call }: HistoryOptions): Promise<History> {
  const asked = request("GET", [kind, id, "history"], { uid, follow: false });
  return (await api.ask<History>(asked, ["id", "uid", "deleted", "entries", "phases", "verdict"], call)).told;
}

/** Yield what happened, and what happens from now on, until the end of it. */
export async function* followHistory(
  api: Api,
  kind: HistoryKind,
  id: string,
  { verify = true, uid, ...call }: FollowOptions,
): AsyncGenerator<HistoryEntry, void, undefined> {
  const { signal } = call;
  const known = await readHistory(api, kind, id, { uid, ...call });
  const chain = new Chain(known.uid);
  const attempts = api.attempts(call);
  let last = 0;
  for (let ended = false; !ended; ) {
    const before = last;
    const asked = withHeaders(request("GET", [kind, id, "history"], { uid: known.uid, follow: true }), { "Last-Event-ID": String(last) });
    try {
      for await (const { data } of events(api, asked, attempts, call)) {
        const entry = entryOf(data);
        if (verify) await chain.follow(entry as unknown as RawEntry);
        last = entry.sequence;
        yield entry;
        ended = kind === "sandboxes" && entry.type === LAST;
      }
      ended ||= await isOver(api, kind, known, last, signal);
      if (!ended && last === before) {
        await api.rest(attempts, new APIConnectionError(`${nameOf(asked)}: the stream ended, and it goes on`), signal);
      }
    } catch (failure) {
      if (!(failure instanceof IsolaError) || failure instanceof StreamLostError || failure instanceof TamperedHistoryError) throw failure;
      await api.rest(attempts, failure, signal).catch((lost: unknown) => {
        throw lostAt(lost, last, "entries");
      });
    }
  }
}

function entryOf(data: string): HistoryEntry {
  const told: unknown = JSON.parse(data);
  if (!isObject(told) || typeof told["sequence"] !== "number") throw new IsolaError(`a history's event is no entry: ${data}`);
  return told as unknown as HistoryEntry;
}

/** Ask, after an answer that ended well, whether there is anything to follow. */
async function isOver(api: Api, kind: HistoryKind, known: History, last: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const found = await readHistory(api, kind, known.id, { uid: known.uid, signal });
    return found.deleted && (found.entries.at(-1)?.sequence ?? 0) <= last;
  } catch (error) {
    if (error instanceof NotFoundError) return true; // it is gone, and not on record
    throw error;
  }
}
