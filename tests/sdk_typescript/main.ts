/** The table as a program of Node, Bun or Deno: prints what went wrong as JSON. */

import { run } from "./table.js";

declare const process: { readonly argv: readonly string[]; exit(code: number): never };

console.log(JSON.stringify(await run(process.argv[2] ?? "", process.argv[3])));
process.exit(0); // whatever a row that failed left open
