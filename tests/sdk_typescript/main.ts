/** The table as a program of Node, Bun or Deno: prints what went wrong as JSON. */

import { run } from "./table.js";

declare const process: { readonly argv: readonly string[] };

console.log(JSON.stringify(await run(process.argv[2] ?? "", process.argv[3])));
