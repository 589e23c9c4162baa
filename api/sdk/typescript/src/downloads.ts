/** A file as it comes down, through lost connections. */

import type { Api, CallOptions } from "./api.js";
import { APIConnectionError, IsolaError, StreamLostError } from "./errors.js";
import { BEYOND, PartialFile } from "./protocol/downloads.js";
import { OCTETS, type Request, nameOf, requestIdOf, withHeaders } from "./protocol/messages.js";
import { errorOf } from "./protocol/problems.js";
import type { Attempts } from "./protocol/retrying.js";
import { lostAt } from "./streams.js";
import type { Progress } from "./uploads.js";

/** Yield a file. */
export async function* download(api: Api, asked: Request, call: CallOptions, onProgress?: Progress): AsyncGenerator<Uint8Array, void, undefined> {
  const attempts = api.attempts(call);
  const state = new PartialFile();
  for (;;) {
    let failure: IsolaError;
    try {
      for await (const piece of attempt(api, asked, call, attempts, state)) {
        yield piece;
        onProgress?.(state.offset, state.size);
      }
      if (state.isWhole) return;
      failure = new APIConnectionError(`${nameOf(asked)}: the answer is not all of the file`);
    } catch (error) {
      if (!(error instanceof IsolaError) || error instanceof StreamLostError) throw error;
      failure = error;
    }
    await api.rest(attempts, failure, call.signal).catch((lost: unknown) => {
      throw lostAt(lost, state.offset);
    });
  }
}

async function* attempt(api: Api, file: Request, { signal }: CallOptions, attempts: Attempts, state: PartialFile): AsyncGenerator<Uint8Array, void, undefined> {
  const asked = withHeaders(file, state.headers());
  const { exchange, response } = await api.opened(asked, attempts, { signal });
  try {
    if (response.status === BEYOND) {
      const answer = await exchange.whole();
      if (state.isPastEnd(answer)) return;
      throw errorOf(answer, asked);
    }
    await api.accepted(exchange, response, OCTETS);
    if (!state.begins(response)) {
      throw new StreamLostError("the file is another one by now", state.offset, { requestId: requestIdOf(asked) });
    }
    for await (const piece of exchange.pieces()) {
      attempts.progressed();
      state.offset += piece.length;
      yield piece;
    }
  } finally {
    exchange.close();
  }
}
