/** Builds the package once, for the tests of what is built. */

import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

export default function build(): void {
  const cwd = fileURLToPath(new URL("../../", import.meta.url))
  execFileSync("npm", ["run", "--silent", "build"], { cwd, stdio: "inherit" })
}
