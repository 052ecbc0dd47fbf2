// Writes grafana.schema.json beside this file: Grafana's own types as JSON Schema, to check the dashboards against.
// In an empty folder: npm install @grafana/schema@13.2.3 ts-json-schema-generator@2.4.0 && cp THIS . && node make_schema.mjs
import { mkdtempSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGenerator } from 'ts-json-schema-generator';

const types = join(import.meta.dirname, 'node_modules/@grafana/schema');
const raw = join(types, 'dist/types/raw');
const folder = mkdtempSync(join(tmpdir(), 'schema-'));

/** A type by name out of one of the package's files, without prose and without what differs from run to run. */
function schema(file, type) {
  const path = join(raw, file, 'x/types.gen.d.ts');
  const tsconfig = join(folder, 'tsconfig.json');
  const compilerOptions = { strict: true, moduleResolution: 'node', target: 'es2022', skipLibCheck: true };
  writeFileSync(tsconfig, JSON.stringify({ compilerOptions, files: [path] }));
  const made = createGenerator({ path, type, tsconfig, skipTypeCheck: true }).createSchema(type);
  return JSON.parse(JSON.stringify(made, (key, value) => (typeof value === 'string' && key === 'description' ? undefined : value)));
}

const { version, license } = JSON.parse(readFileSync(join(types, 'package.json')));
const panels = {};
for (const [type, file, hasFields] of [
  ['bargauge', 'bargauge', false],
  ['heatmap', 'heatmap', true],
  ['stat', 'stat', false],
  ['state-timeline', 'statetimeline', true],
  ['table', 'table', true],
  ['timeseries', 'timeseries', true],
]) {
  const folderOf = `composable/${file}/panelcfg`;
  panels[type] = { options: schema(folderOf, 'Options'), custom: hasFields ? schema(folderOf, 'FieldConfig') : { maxProperties: 0 } };
}
const comment = `Made by make_schema.mjs from @grafana/schema ${version}, ${license}, copyright Grafana Labs.`;
const all = { $comment: comment, dashboard: schema('dashboard', 'Dashboard'), panels };
writeFileSync(join(import.meta.dirname, 'grafana.schema.json'), JSON.stringify(all) + '\n');
