/** Server-sent events: changes of files, and those of one connection. */

import type { Api, CallOptions } from "./api.js";
import { IsolaError, NotFoundError } from "./errors.js";
import type { FileChange } from "./models.js";
import { EventDecoder, type ServerEvent } from "./protocol/events.js";
import { EVENTS, type Request, withHeaders } from "./protocol/messages.js";
import type { Attempts } from "./protocol/retrying.js";

/** A sign of life comes every 15 s. */
const SILENCE_MS = 45_000;

/** Yield the events of one connection, to its end. */
export async function* events(api: Api, asked: Request, attempts: Attempts, { signal }: CallOptions): AsyncGenerator<ServerEvent, void, undefined> {
  const decoder = new EventDecoder();
  const { exchange } = await api.opened(withHeaders(asked, { Accept: EVENTS }), attempts, { signal, silenceMs: SILENCE_MS }, EVENTS);
  try {
    for await (const piece of exchange.pieces()) {
      attempts.progressed();
      yield* decoder.feed(piece);
    }
  } finally {
    exchange.close();
  }
}

/** Yield changes, `overflow` after each gap, until what is watched is gone. */
export async function* watched(api: Api, asked: Request, call: CallOptions): AsyncGenerator<FileChange, void, undefined> {
  const attempts = api.attempts(call);
  let begun = false;
  for (;;) {
    try {
      for await (const event of events(api, asked, attempts, call)) {
        const change = changeOf(event);
        yield change.kind === "ready" && begun ? { kind: "overflow" } : change;
        begun = true;
      }
    } catch (failure) {
      if (begun && failure instanceof NotFoundError) return;
      if (!(failure instanceof IsolaError)) throw failure;
      await api.rest(attempts, failure, call.signal);
    }
  }
}

function changeOf({ name, data }: ServerEvent): FileChange {
  const told = JSON.parse(data || "{}") as { path?: string; type?: string; from?: string };
  return { kind: name as FileChange["kind"], path: told.path, type: told.type, previousPath: told.from };
}
