// usage: node logql.mjs NODE_MODULES QUERY
//
// Prints the matchers of a LogQL query, read by the grammar of Grafana's own editor, as JSON:
// [["Selector", "service_name", "=", "isola"], ["LabelFilter", ...], ...]. What is no LogQL is an error,
// and so is what is more than matchers.
import { createRequire } from "node:module";

const [folder, query] = process.argv.slice(2);
const { parser } = createRequire(`${folder}/`)("@grafana/lezer-logql");

const AROUND = ["LogQL", "Expr", "LogExpr", "Matchers", "PipelineExpr", "PipelineStage", "Pipe"];
const PLACES = ["Selector", "LabelFilter"];
const PARTS = ["Identifier", "Eq", "Neq", "Re", "Nre", "String"];

const matchers = [];
let place = "";
parser.parse(query).iterate({
  enter({ name, type, from, to }) {
    const text = query.slice(from, to);
    if (type.isError) throw new Error(`no LogQL from ${from} to ${to}: ${query}`);
    if (PLACES.includes(name)) place = name;
    else if (name === "Matcher") matchers.push([place]);
    else if (PARTS.includes(name)) matchers.at(-1).push(name === "String" ? JSON.parse(text) : text);
    else if (!AROUND.includes(name)) throw new Error(`more than matchers, ${name}: ${query}`);
  },
});
console.log(JSON.stringify(matchers));
