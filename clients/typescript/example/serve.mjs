/** Bundles the example and serves it: `npm run example`, on port 8080 or the one that is given. */

import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const port = Number(process.argv[2] ?? 8080)
const here = fileURLToPath(new URL(".", import.meta.url))
const { outputFiles } = await build({
  entryPoints: [`${here}main.ts`],
  bundle: true,
  write: false,
  format: "esm",
})

const server = createServer((request, response) => {
  const isScript = request.url === "/main.js"
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html; charset=utf-8")
  response.end(isScript ? outputFiles[0].contents : readFileSync(`${here}index.html`))
})
server.listen(port, "127.0.0.1", () => {
  console.log(`open http://127.0.0.1:${server.address().port}/ in two windows`)
})
