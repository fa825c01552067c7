/** The package: what is published works in an empty project, and is as small as it says. */

import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Server } from "../support/server.js"

const HERE = fileURLToPath(new URL("../../", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "topicsync-package-"))
let server: Server

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" })
  if (status !== 0) throw new Error(`${command} failed: ${stdout}${stderr}`)
  return stdout
}

/** Packs the package, and installs it in an empty project without asking any registry. */
beforeAll(async () => {
  server = await Server.start()
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], { cwd: HERE })
  const tarball = readdirSync(folder).find((file) => file.endsWith(".tgz"))!
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  run("npm", "install", "--offline", "--silent", "--legacy-peer-deps", `./${tarball}`)
  // Its peers are those of this repository: to install them would ask a registry.
  for (const peer of ["ws", "react"]) {
    symlinkSync(join(HERE, "node_modules", peer), join(folder, "node_modules", peer))
  }
}, 120_000)

afterAll(async () => {
  await server.end()
  rmSync(folder, { recursive: true, force: true })
})

/** Compiles the programs of the folder. */
function compile(): void {
  const types = join(HERE, "node_modules/@types")
  const options = {
    strict: true,
    module: "NodeNext",
    target: "ES2022",
    lib: ["ES2023", "DOM"],
    typeRoots: [types],
    types: ["node"],
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options }))
  run("node", join(HERE, "node_modules/typescript/bin/tsc"), "-p", ".")
}

test("what is packed compiles and works in an empty project", () => {
  cpSync(join(HERE, "tests/package/program.ts"), join(folder, "program.ts"))
  compile()
  expect(run("node", "program.js", server.url).trim()).toBe('[["milk"],{"a":2}]')
}, 120_000)

/** The programs of the README: a block that imports begins one, and those that follow go on with it. */
function readmePrograms(): string[] {
  const readme = readFileSync(join(HERE, "README.md"), "utf8")
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block!)
  const programs: string[] = []
  for (const block of blocks) {
    if (block.startsWith("import ")) programs.push(block)
    else programs.push(programs.pop() + block)
  }
  return programs.map((it) => it.replaceAll("ws://127.0.0.1:8765/", server.url))
}

test("the programs of the README run any number of times", () => {
  const programs = readmePrograms()
  expect(programs).toHaveLength(2)
  programs.forEach((program, at) => writeFileSync(join(folder, `readme${at}.ts`), program))
  compile()
  for (let round = 0; round < 3; round++) {
    const said = run("node", "readme0.js")
    const [first] = said.split("\n")
    expect(first).toBe("set by undefined")
    expect(said).toContain(round === 0 ? "added here\n" : "changed here\n")
    expect(said).toContain("\n42\n")
    expect(said).toContain("{ n1: { x: 0, y: 0 } }")
    expect(run("node", "readme1.js")).toContain("n1: { x: 9, y: 0 }")
  }
}, 240_000)

/** How large a program is when it is bundled for browsers, minified and gzipped, in bytes. */
async function bundledBytes(program: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
  })
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length
}

const KB = 1024

test.each([
  ["the client alone", 16, []],
  ["the client with lists, dicts, numbers and presence", 20, ["list", "dict", "int", "generic", "presence"]],
])("a bundle of %s is below %i KB", async (_name, limit, kinds) => {
  const bytes = await bundledBytes(`
    import { connect } from "topicsync/core"
    import { ${kinds.join()} } from "topicsync/topics"
    console.log(connect, ${kinds.join()})`)
  expect(bytes).toBeLessThan(limit * KB)
})

test("a bundle of everything is below 24 KB", async () => {
  const bytes = await bundledBytes('import { connect } from "topicsync"; console.log(connect)')
  expect(bytes).toBeLessThan(24 * KB)
})

test("a browser loads nothing but this package", async () => {
  const { metafile } = await build({
    stdin: { contents: 'export * from "topicsync"', resolveDir: folder },
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
  })
  const foreign = Object.keys(metafile.inputs).filter((file) => !/topicsync\/dist|<stdin>/.test(file))
  expect(foreign).toEqual([])
})
