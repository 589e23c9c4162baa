/**
 * What can go wrong, by what the caller can do about it.
 *
 *     IsolaError
 *     ├── APIError                the gateway answered, and not as hoped; by status:
 *     │   ├── BadRequestError     400
 *     │   ├── NotFoundError       404
 *     │   ├── ConflictError       409  it is not in the state for that
 *     │   ├── GoneError           410  output that is no longer kept
 *     │   ├── ValidationError     422  `violations` says where
 *     │   ├── RateLimitError      429  after all attempts
 *     │   ├── InternalError       500
 *     │   ├── BadGatewayError     502  after all attempts
 *     │   └── UnavailableError    503  likewise
 *     ├── APIConnectionError      nobody answered, after all attempts
 *     │   └── StreamLostError     in the middle of a stream: `offset` says how far it came
 *     ├── IsolaTimeoutError       a wait or a deadline is over
 *     ├── SandboxFailedError      it will never run: `reason` and `explanation` say why
 *     ├── SnapshotFailedError     likewise
 *     └── TamperedHistoryError    a history is not what its writers wrote
 *
 * Wrong arguments are a `TypeError` or `RangeError`; a signal that was aborted throws its own reason.
 */

export interface ErrorOptions {
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** Whatever this client throws, but for wrong arguments and aborted signals. */
export class IsolaError extends Error {
  // Written out in each class: minifiers rename classes.
  override name = "IsolaError";
  /** Of the request that it came of: the gateway's log and the sandbox's history name it. */
  readonly requestId: string | undefined;
  /** What went wrong, without the request id. */
  readonly what: string;

  constructor(what: string, { requestId, cause }: ErrorOptions = {}) {
    super(requestId ? `${what} [request ${requestId}]` : what, cause === undefined ? {} : { cause });
    this.what = what;
    this.requestId = requestId;
  }
}

/** One thing that is wrong with a request. */
export interface Violation {
  /** Where: `body.podTemplate.containers[0].image`, `query.waitSeconds`. */
  readonly location: string;
  /** What is wrong there. */
  readonly message: string;
}

export interface APIErrorOptions extends ErrorOptions {
  readonly status: number;
  readonly violations?: readonly Violation[];
  readonly retryAfterMs?: number | undefined;
}

/** The gateway answered with an error, or with what is no answer. */
export class APIError extends IsolaError {
  override name = "APIError";
  /** HTTP status. */
  readonly status: number;
  /** What the gateway says. */
  readonly detail: string;
  /** What is wrong with the request, one by one, where it says so. */
  readonly violations: readonly Violation[];
  /** Milliseconds after which it is worth another try, where the gateway says so. */
  readonly retryAfterMs: number | undefined;

  constructor(detail: string, options: APIErrorOptions) {
    super(`${options.status}: ${detail}`, options);
    this.status = options.status;
    this.detail = detail;
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The request asks for what cannot be done. */
export class BadRequestError extends APIError {
  override name = "BadRequestError";
}
/** There is no such thing, or not any more. */
export class NotFoundError extends APIError {
  override name = "NotFoundError";
}
/** It is not in the state for that. */
export class ConflictError extends APIError {
  override name = "ConflictError";
}
/** The output is no longer kept. */
export class GoneError extends APIError {
  override name = "GoneError";
}
/** The request is malformed: `violations` says where. */
export class ValidationError extends APIError {
  override name = "ValidationError";
}
/** There was too much at once, and still is after all attempts. */
export class RateLimitError extends APIError {
  override name = "RateLimitError";
}
/** The gateway failed. */
export class InternalError extends APIError {
  override name = "InternalError";
}
/** The gateway cannot reach the sandbox, or does not understand it. */
export class BadGatewayError extends APIError {
  override name = "BadGatewayError";
}
/** The gateway cannot serve at the moment. */
export class UnavailableError extends APIError {
  override name = "UnavailableError";
}

export interface ConnectionErrorOptions extends ErrorOptions {
  readonly mayHaveArrived?: boolean;
  readonly silent?: boolean;
}

/** The gateway could not be reached, or did not answer, in as many attempts as there are. */
export class APIConnectionError extends IsolaError {
  override name = "APIConnectionError";
  /** Whether what was asked for may have been done all the same. */
  readonly mayHaveArrived: boolean;
  /** Whether nothing but silence is what failed. */
  readonly silent: boolean;

  constructor(what: string, options: ConnectionErrorOptions = {}) {
    super(what, options);
    this.mayHaveArrived = options.mayHaveArrived ?? true;
    this.silent = options.silent ?? false;
  }
}

/** A stream broke off and could not be resumed: what came so far is right, and not all. */
export class StreamLostError extends APIConnectionError {
  override name = "StreamLostError";
  /** How many bytes, or entries, were delivered. A stream from there goes on. */
  readonly offset: number;

  constructor(why: string, offset: number, options: ErrorOptions & { unit?: string } = {}) {
    super(`${why}: ${offset} ${options.unit ?? "bytes"} had come, and more may follow`, options);
    this.offset = offset;
  }
}

/** A wait or a deadline is over. What was waited for may still come. */
export class IsolaTimeoutError extends IsolaError {
  override name = "IsolaTimeoutError";
}

export interface FailureOptions extends ErrorOptions {
  readonly reason: string | undefined;
  readonly explanation: string | undefined;
}

/** The sandbox ended, or is being removed, before it ran. */
export class SandboxFailedError extends IsolaError {
  override name = "SandboxFailedError";
  readonly sandboxId: string;
  readonly status: string;
  /** Why, in one word, such as `ImagePullFailed`. */
  readonly reason: string | undefined;
  /** Why, for people. */
  readonly explanation: string | undefined;

  constructor(sandboxId: string, status: string, options: FailureOptions) {
    super(because(`sandbox ${sandboxId} does not run: it is ${status}`, options), options);
    this.sandboxId = sandboxId;
    this.status = status;
    this.reason = options.reason;
    this.explanation = options.explanation;
  }
}

/** There is no snapshot. */
export class SnapshotFailedError extends IsolaError {
  override name = "SnapshotFailedError";
  readonly snapshotId: string;
  /** Why, in one word, such as `NameTaken`. */
  readonly reason: string | undefined;
  /** Why, for people. */
  readonly explanation: string | undefined;

  constructor(snapshotId: string, options: FailureOptions) {
    super(because(`snapshot ${snapshotId} failed`, options), options);
    this.snapshotId = snapshotId;
    this.reason = options.reason;
    this.explanation = options.explanation;
  }
}

/** An entry of a history does not follow from those before it. */
export class TamperedHistoryError extends IsolaError {
  override name = "TamperedHistoryError";
  /** Its number; the change is there, or just before. */
  readonly sequence: number;

  constructor(what: string, sequence: number) {
    super(what);
    this.sequence = sequence;
  }
}

function because(what: string, { reason, explanation }: FailureOptions): string {
  return reason && explanation ? `${what}, ${reason}: ${explanation}` : what;
}
