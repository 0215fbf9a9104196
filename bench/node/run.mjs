// Five bone rules in CQL over NDJSON of one Bundle for each patient, timed from file to answers.
//
//   node run.mjs QUESTION.json ANSWERS.json
//
// QUESTION names the files, the rules and the parameters (see bench/bone_rules.py). Translating
// CQL to ELM is not timed. Prints {"times": [...], "peak_mb": ...} after one warm-up.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

import { SystemModelInfoProvider } from "@cqframework/cql/cql";
import {
  CqlTranslator,
  LibraryManager,
  ModelManager,
  createModelInfoProvider,
  stringAsSource,
} from "@cqframework/cql/cql-to-elm";
import cql from "cql-execution";
import fhir from "cql-exec-fhir";

const FHIR_MODEL = "cql-exec-fhir/lib/modelInfos/fhir-modelinfo-4.0.1.xml.js";

function elm(text) {
  const model = createRequire(import.meta.url)(FHIR_MODEL);
  const models = new ModelManager();
  models.modelInfoLoader.registerModelInfoProvider(new SystemModelInfoProvider());
  models.modelInfoLoader.registerModelInfoProvider(
    createModelInfoProvider((name) => (name === "FHIR" ? stringAsSource(model) : null)),
  );
  const library = JSON.parse(CqlTranslator.fromText(text, new LibraryManager(models)).toJson());
  const errors = library.library.annotation.filter((one) => one.errorSeverity === "error");
  if (errors.length) throw new Error(errors.map((one) => one.message).join("\n"));
  return library;
}

async function answers(question, executor) {
  const source = fhir.PatientSource.FHIRv401();
  const noon = cql.DateTime.parse(`${question.parameters.Today}T12:00:00.0Z`);
  const found = {};
  for (const line of readFileSync(question.patients, "utf8").trimEnd().split("\n")) {
    source.reset();
    source.loadBundles([JSON.parse(line)]);
    const { patientResults } = await executor.exec(source, noon);
    for (const [id, results] of Object.entries(patientResults))
      found[id] = question.rules.map((rule) => results[rule]);
  }
  return found;
}

const [, , asked, written] = process.argv;
const question = JSON.parse(readFileSync(asked, "utf8"));
const text = question.cql.map((file) => readFileSync(file, "utf8")).join("");
const parameters = Object.fromEntries(
  Object.entries(question.parameters).map(([name, value]) => [
    name,
    typeof value === "string" ? cql.Date.parse(value) : value,
  ]),
);
const executor = new cql.Executor(new cql.Library(elm(text)), null, parameters);

writeFileSync(written, JSON.stringify(await answers(question, executor)));
const times = [];
for (let run = 0; run < question.runs; run++) {
  const start = performance.now();
  await answers(question, executor);
  times.push((performance.now() - start) / 1000);
}
console.log(JSON.stringify({ times, peak_mb: process.resourceUsage().maxRSS / 1024 }));
