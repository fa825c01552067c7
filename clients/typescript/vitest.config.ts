import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: {
    alias: {
      "#websocket": fileURLToPath(new URL("src/connection/websocket.node.ts", import.meta.url)),
    },
  },
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    globalSetup: "tests/support/build.ts",
    testTimeout: 20_000,
  },
})
