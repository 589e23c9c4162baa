/** The table as a worker: a request runs it, and is answered with what went wrong. */

import { run } from "./table.js";

export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    return Response.json(await run(searchParams.get("url") ?? "", searchParams.get("only") ?? ""));
  },
};
