/** What an answer that is none of the hoped-for says. */

import * as errors from "../errors.js";
import { type Answer, type Request, nameOf, requestIdOf } from "./messages.js";

type Kind = new (detail: string, options: errors.APIErrorOptions) => errors.APIError;

function kindOf(status: number): Kind {
  switch (status) {
    case 400: return errors.BadRequestError;
    case 404: return errors.NotFoundError;
    case 409: return errors.ConflictError;
    case 410: return errors.GoneError;
    case 422: return errors.ValidationError;
    case 429: return errors.RateLimitError;
    case 500: return errors.InternalError;
    case 502: return errors.BadGatewayError;
    case 503: return errors.UnavailableError;
    default: return errors.APIError;
  }
}

/** Return the error that `answer` to `asked` is. */
export function errorOf(answer: Answer, asked: Request): errors.APIError {
  const problem = jsonObject(answer.body) ?? {};
  const told = problem["detail"];
  const detail = typeof told === "string" && told ? told : `HTTP ${answer.status}`;
  return new (kindOf(answer.status))(`${nameOf(asked)}: ${detail}`, {
    status: answer.status,
    requestId: idOf(answer, asked),
    violations: violations(problem["errors"]),
    retryAfterMs: retryAfter(answer.headers.get("retry-after")),
  });
}

/** Return the error of an answer that claims success and cannot be read. */
export function nonsense(answer: Answer, asked: Request, why: string): errors.APIError {
  const { status } = answer;
  return new errors.APIError(`${nameOf(asked)}: the answer cannot be read: ${why}`, { status, requestId: idOf(answer, asked) });
}

/** Return the id under which the gateway knows the request. */
export function idOf(answer: Pick<Answer, "headers">, asked: Request): string | undefined {
  return answer.headers.get("x-request-id") ?? requestIdOf(asked);
}

/** Return a body that is a JSON object. */
export function jsonObject(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const found: unknown = JSON.parse(new TextDecoder().decode(body));
    return isObject(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function violations(items: unknown): errors.Violation[] {
  if (!Array.isArray(items)) return [];
  return items.filter(isObject).map((each) => ({
    location: String(each["location"] ?? ""),
    message: String(each["message"] ?? ""),
  }));
}

function retryAfter(text: string | null): number | undefined {
  return text && /^\d{1,9}$/.test(text) ? Number(text) * 1000 : undefined;
}
