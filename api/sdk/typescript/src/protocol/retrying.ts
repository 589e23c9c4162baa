/** When to try again: a function of what failed, how often, and what the clock says. */

import { APIConnectionError, APIError, IsolaError, IsolaTimeoutError } from "../errors.js";

/** Statuses that say nothing of the request itself. */
const PASSING = [408, 429, 502, 503, 504];
/** Those of them with which nothing was begun. */
const REFUSED = [429, 503];

/** How often and how fast to try again. */
export interface Retrying {
  /** In a row, without any progress in between; 1 is no second one. Default: 6. */
  readonly attempts?: number | undefined;
  /** The pause after the first failure; it doubles with each. Default: 250. */
  readonly firstMs?: number | undefined;
  /** The longest pause of our own accord. Default: 8000. */
  readonly longestMs?: number | undefined;
}

/**
 * Return the milliseconds to wait after so many failures in a row, or undefined to give up.
 *
 * @param luck Random, from 0 to 1: half of the pause goes by it, so that clients that failed together do not come back together.
 * @param askedMs What the server asks for (`Retry-After`); less is never waited.
 */
export function pause(retrying: Retrying, failures: number, luck: number, askedMs = 0): number | undefined {
  const { attempts = 6, firstMs = 250, longestMs = 8000 } = retrying;
  if (failures >= attempts) return undefined;
  const full = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  return Math.max(full * (0.5 + 0.5 * luck), askedMs);
}

/** The attempts at one call, or at one stream: how many failed since the last progress. */
export class Attempts {
  #failures = 0;
  readonly #retrying: Retrying;
  readonly #endsAt: number;

  /** @param endsAt The deadline, on the clock of `now`. */
  constructor(retrying: Retrying, endsAt = Number.POSITIVE_INFINITY) {
    this.#retrying = retrying;
    this.#endsAt = endsAt;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Forget the failures: something was gained. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Return the milliseconds to the deadline, or throw `IsolaTimeoutError`. */
  left(now: number, what: string, requestId?: string): number {
    if (now >= this.#endsAt) throw new IsolaTimeoutError(`${what}: the deadline is over`, { requestId });
    return this.#endsAt - now;
  }

  /** Return the milliseconds to wait before the next attempt, or throw what is to be thrown instead. */
  after(failure: IsolaError, now: number, luck: number, repeatable = true): number {
    this.#failures += 1;
    if (!isPassing(failure, repeatable)) throw failure;
    const asked = failure instanceof APIError ? failure.retryAfterMs : undefined;
    const found = pause(this.#retrying, this.#failures, luck, asked);
    if (found === undefined) throw failure;
    if (now + found >= this.#endsAt) {
      const { requestId } = failure;
      throw new IsolaTimeoutError(`the deadline is over before another attempt: ${failure.what}`, { requestId, cause: failure });
    }
    return found;
  }
}

function isPassing(failure: IsolaError, repeatable: boolean): boolean {
  if (failure instanceof APIConnectionError) return repeatable || !failure.mayHaveArrived;
  return failure instanceof APIError && (repeatable ? PASSING : REFUSED).includes(failure.status);
}
