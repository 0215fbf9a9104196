// Holds resources to lantana's FHIR validator: a JSON array on stdin, a list of errors on stdout.
const { Fhir } = require("fhir");

let text = "";
process.stdin.on("data", (chunk) => (text += chunk));
process.stdin.on("end", () => {
  const fhir = new Fhir();
  const errors = JSON.parse(text).map((resource) =>
    fhir
      .validate(resource, { errorOnUnexpected: true })
      .messages.filter((m) => m.severity === "error")
      .map((m) => `${m.resourceId} ${m.location}: ${m.message}`),
  );
  process.stdout.write(JSON.stringify(errors));
});
