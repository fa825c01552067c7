/** How large a program is, bundled for browsers, minified and gzipped. Run it with `npm run size`. */

import { gzipSync } from "node:zlib"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

async function print(what, program) {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: fileURLToPath(new URL("..", import.meta.url)) },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
  })
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length
  console.log(`${what}: ${bytes.toLocaleString("en")} bytes`)
}

function lean(...kinds) {
  return `import { connect } from "topicsync/core"; import { ${kinds} } from "topicsync/topics"
    console.log(connect, ${kinds})`
}

await print("the client alone", lean())
await print("with lists and dicts", lean("list", "dict"))
await print("with lists, dicts, numbers and presence", lean("list", "dict", "int", "generic", "presence"))
await print("with texts", lean("string"))
await print("everything", 'import { connect } from "topicsync"; console.log(connect)')
