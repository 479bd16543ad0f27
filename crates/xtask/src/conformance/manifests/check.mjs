// Manifests against the schemas of Kubernetes, KEDA and Knative: values by their validators, names of
// fields by their types. Arguments: pairs of a kind and a file.
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import ts from "typescript";

const KINDS = {
  hpa: ["kubernetes-models/autoscaling/v2", "HorizontalPodAutoscaler"],
  keda: ["@kubernetes-models/keda/keda.sh/v1alpha1", "ScaledObject"],
  knative: ["@kubernetes-models/knative/serving.knative.dev/v1", "Service"],
};

// A literal may have no field that its type has not.
function typeErrors(module, kind, manifest) {
  const name = "manifest.ts";
  const text = `import type { I${kind} } from "${module}";\n`
    + `export const it: I${kind} = ${JSON.stringify(manifest, null, 1)};\n`;
  const options = { noEmit: true, strict: true, skipLibCheck: true, types: [],
    module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (file, ...rest) => file === name
    ? ts.createSourceFile(file, text, ts.ScriptTarget.ESNext) : getSourceFile(file, ...rest);
  host.fileExists = (file) => file === name || fileExists(file);
  host.readFile = (file) => (file === name ? text : readFile(file));
  const found = ts.getPreEmitDiagnostics(ts.createProgram([name], options, host));
  return found.map((one) => ts.flattenDiagnosticMessageText(one.messageText, " "));
}

async function faults([module, kind], manifest) {
  const { [kind]: Model } = await import(module);
  try {
    new Model(manifest).validate();
  } catch (error) {
    return [error.message];
  }
  return typeErrors(module, kind, manifest);
}

const [, , ...pairs] = process.argv;
for (let at = 0; at < pairs.length; at += 2) {
  const [name, file] = pairs.slice(at, at + 2);
  const manifest = parse(readFileSync(file, "utf8"));
  const found = await faults(KINDS[name], manifest);
  if (found.length > 0) throw new Error(`${name}: ${found.join("; ")}`);
  // A check that takes anything proves nothing.
  const misspelt = structuredClone(manifest);
  misspelt.spec.notAField = 1;
  const mistyped = structuredClone(manifest);
  mistyped.metadata.name = { not: "a name" };
  for (const wrong of [misspelt, mistyped]) {
    if ((await faults(KINDS[name], wrong)).length === 0) throw new Error(`${name}: takes anything`);
  }
  console.log(`${name}: valid ${KINDS[name][1]}`);
}
