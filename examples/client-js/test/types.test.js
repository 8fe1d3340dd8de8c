// The types: that volley.js keeps to its own, that volley.d.ts says the same, and that users can write by them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const tsc = process.env.VOLLEY_TSC;
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

test("the types", { skip: tsc ? false : "there is no TypeScript (VOLLEY_TSC names its tsc; .ci/run installs it)" }, () => {
  const folder = mkdtempSync(join(tmpdir(), "volley-types-"));
  try {
    cpSync(here("types"), folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
    copyFileSync(here("../volley.d.ts"), join(folder, "volley.d.ts"));
    // By another name, so that the compiler reads it and not the declarations.
    copyFileSync(here("../volley.js"), join(folder, "made.js"));
    const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
