// The protocol of the client as it is published, asked case by case: JSON on standard input and output.

import { readFileSync } from "node:fs";
import * as errors from "@isola/sdk";
import { digest } from "./node_modules/@isola/sdk/dist/esm/protocol/chain.js";
import { EventDecoder } from "./node_modules/@isola/sdk/dist/esm/protocol/events.js";
import { Position } from "./node_modules/@isola/sdk/dist/esm/protocol/output.js";
import { Attempts, pause } from "./node_modules/@isola/sdk/dist/esm/protocol/retrying.js";
import { LineDecoder } from "./node_modules/@isola/sdk/dist/esm/protocol/text.js";

const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));

const questions = {
  text(pieces) {
    const decoder = new LineDecoder();
    return [...pieces.map((piece) => decoder.feed(bytes(piece))), decoder.feed(new Uint8Array(), true)];
  },
  events(pieces) {
    const decoder = new EventDecoder();
    return pieces.flatMap((piece) => decoder.feed(bytes(piece)).map(({ name, data }) => [name, data]));
  },
  digest: ([entry, previous]) => digest(entry, previous),
  pause: ([retrying, failures, luck, asked]) => pause(retrying, failures, luck, asked) ?? null,
  again([failure, repeatable]) {
    const raised =
      failure === "unsent" || failure === "cut"
        ? new errors.APIConnectionError(failure, { mayHaveArrived: failure === "cut" })
        : failure === "over"
          ? new errors.IsolaTimeoutError(failure)
          : new errors.APIError("told", { status: failure });
    try {
      return new Attempts({}).after(raised, 0, 0, repeatable) > 0;
    } catch (error) {
      if (error !== raised) throw error;
      return false;
    }
  },
  over(steps) {
    const position = new Position();
    return steps.map(([ended, sizes, whole]) => {
      const asked = position.asked(ended);
      for (const size of sizes) position.took(size);
      if (whole) position.cameWhole();
      return [asked, position.gained, position.isOver];
    });
  },
};

const cases = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
for (const [question, argument] of cases) answers.push(await questions[question](argument));
console.log(JSON.stringify(answers));
