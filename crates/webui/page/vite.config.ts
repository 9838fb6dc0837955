import { defineConfig } from "vite";

/** What the built page may do: run and show what its own origin serves, and nothing else. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'";

/** What the daemons serve of what the page asks for. */
const SERVED = [
  "/api",
  "/containers",
  "/files",
  "/flags",
  "/logging",
  "/maintenance",
  "/metrics",
  "/redirect",
  "/roles",
  "/slaves",
  "/state",
  "/tasks",
  "/version",
  "/why",
];

export default defineConfig({
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    // Every file under this folder is named by its content, so that browsers may keep it forever.
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What the bundle contains of others is theirs, and says so.
    license: { fileName: "licenses.md" },
  },
  resolve: {
    // Its package names a file that it does not have.
    alias: { "@xterm/headless": "@xterm/headless/lib-headless/xterm-headless.mjs" },
  },
  plugins: [
    {
      name: "policy",
      // The development server needs inline scripts for its own purposes.
      apply: "build",
      transformIndexHtml: () => [
        {
          tag: "meta",
          attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
          injectTo: "head-prepend",
        },
      ],
    },
  ],
  // `npm run dev` shows a running cluster: MESETA=http://127.0.0.1:5051 for an agent's page.
  server: {
    proxy: Object.fromEntries(
      SERVED.map((path) => [
        path,
        process.env["MESETA"] ?? "http://127.0.0.1:5050",
      ]),
    ),
  },
});
