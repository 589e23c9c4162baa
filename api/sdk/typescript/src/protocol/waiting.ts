/** Answers that the gateway holds back until something has come. */

import { type Request, request, withHeaders } from "./messages.js";

/** How long the gateway is asked to hold an answer back: less than the 25 s that it would. */
export const GRANTED_SECONDS = 20;

/** Return a GET that is answered when something has come, or after so long. */
export function waiting(parts: readonly string[], seconds: number): Request {
  const granted = Math.max(0, Math.min(Math.floor(seconds), GRANTED_SECONDS));
  return request("GET", parts, { waitSeconds: granted || undefined }, { heldMs: granted * 1000 });
}

/** Return the same, for an answer that is held back for so long at most. */
export function held(asked: Request, milliseconds: number): Request {
  const granted = Math.min(Math.floor(milliseconds / 1000), GRANTED_SECONDS);
  return granted < 1 ? asked : { ...withHeaders(asked, { Prefer: `wait=${granted}` }), heldMs: granted * 1000 };
}
