/**
 * How long the frames of the page are while somebody scrolls and searches in a master's tasks, as a table, and
 * the longest task of any of the browser's threads by the processor's time, which no other program adds to:
 * `node frames.mjs http://127.0.0.1:5050 100000` waits for that many tasks first. Chromium is needed. `cargo xtask bench page` runs it.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const [address, least = "1"] = process.argv.slice(2);
if (!address) throw new Error("usage: node frames.mjs http://HOST:PORT [TASKS]");

/** How long each thing is done, and how long the page may take to show something. */
const EACH = 10_000;
const PATIENCE = 300_000;

/** A frame that takes longer, in milliseconds, is one that people wait for. */
const LATE = 100;
let total = 0;
let late = 0;
let hardest = 0;

/** What people do to a list, in the middle of it. */
const [X, Y] = [640, 500];

const profile = mkdtempSync(join(tmpdir(), "meseta-frames-"));
const browser = spawn(
  process.env["CHROMIUM"] ?? "chromium",
  [
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--window-size=1280,900",
    `--user-data-dir=${profile}`,
  ],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);
const [, , , to, from] = browser.stdio;
const waiting = new Map();
let left = Buffer.alloc(0);
from.on("data", (piece) => {
  left = Buffer.concat([left, piece]);
  for (let end = left.indexOf(0); end >= 0; end = left.indexOf(0)) {
    const said = JSON.parse(left.subarray(0, end).toString());
    left = left.subarray(end + 1);
    if (said.id) waiting.get(said.id)?.(said);
    else heard(said);
    waiting.delete(said.id);
  }
});

/** What the threads of the browser did since the tracing began, in milliseconds of a processor. */
let work = [];
let traced = () => {};
function heard({ method, params }) {
  if (method === "Tracing.dataCollected") {
    const tasks = params.value.filter(({ name, tdur }) => name === "RunTask" && tdur);
    work.push(...tasks.map(({ tdur }) => tdur / 1000));
  } else if (method === "Tracing.tracingComplete") traced();
}

let calls = 0;
let sessionId;
async function call(method, params = {}) {
  const id = (calls += 1);
  const answered = new Promise((resolve) => waiting.set(id, resolve));
  to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  const { result, error } = await answered;
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

async function evaluate(expression) {
  const answer = await call("Runtime.evaluate", {
    expression,
    returnByValue: true,
    awaitPromise: true,
  });
  if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
  return answer.result.value;
}

async function until(script) {
  const end = Date.now() + PATIENCE;
  for (let found; Date.now() < end; await pause(50)) {
    found = await evaluate(script);
    if (found) return found;
  }
  throw new Error(`waited in vain for ${script}`);
}

/** The frames of the page while something is done to it. */
async function measured(what, act) {
  await evaluate(`(() => {
    window.frames_ = [];
    window.long_ = 0;
    window.watch_?.disconnect();
    window.watch_ = new PerformanceObserver((list) => { window.long_ += list.getEntries().length; });
    window.watch_.observe({ type: "longtask" });
    const run = (window.run_ = (window.run_ ?? 0) + 1);
    let last = performance.now();
    const step = (now) => {
      if (run !== window.run_) return;
      window.frames_.push(now - last);
      last = now;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  })()`);
  work = [];
  await call("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: ["disabled-by-default-devtools.timeline"] },
  });
  const end = Date.now() + EACH;
  for (let n = 0; Date.now() < end; n += 1) await act(n);
  // What the end of the tracing costs is nobody's frame.
  const { frames, long } = await evaluate("({ frames: window.frames_, long: window.long_ })");
  const complete = new Promise((resolve) => (traced = resolve));
  await call("Tracing.end");
  await complete;
  const longest = work.reduce((most, one) => Math.max(most, one), 0);
  hardest = Math.max(hardest, longest);
  frames.sort((one, other) => one - other);
  total += frames.length;
  late += frames.filter((frame) => frame > LATE).length;
  const at = (part) => frames[Math.min(frames.length - 1, Math.floor(part * frames.length))];
  const over = frames.filter((frame) => frame > LATE).length;
  const shown = [at(0.5), at(0.99), at(1)].map((frame) => `${frame.toFixed(0)} ms`).join(" | ");
  return `| ${what} | ${frames.length} | ${shown} | ${over} | ${long} | ${longest.toFixed(0)} ms |`;
}

try {
  const { targetId } = await call("Target.createTarget", { url: "about:blank" });
  ({ sessionId } = await call("Target.attachToTarget", { targetId, flatten: true }));
  await call("Page.navigate", { url: `${address}/#/tasks` });
  const many = "document.querySelector('[role=table]')?.ariaRowCount - 1";
  await until(`${many} >= ${least}`);
  const first = await until("document.querySelector('.rows [role=row] a')?.textContent");
  const lines = [
    // What else the machine does makes frames longer, and no task.
    `${await evaluate(many)} tasks; load of the machine ${loadavg()[0].toFixed(1)} on ${cpus().length} processors`,
    "",
    "| while the list | frames | median | p99 | longest | over 100 ms | tasks over 50 ms | longest task, of processor |",
    "|---|---|---|---|---|---|---|---|",
  ];
  lines.push(await measured("is left alone", () => pause(200)));
  const list = "document.querySelector('.rows [role=row] a')";
  lines.push(
    await measured("is left and opened again", async () => {
      await evaluate("location.hash = '#/'; 1");
      await pause(300);
      await evaluate("location.hash = '#/tasks'; 1");
      await until(list);
      await pause(300);
    }),
  );
  const wheel = (deltaY) =>
    call("Input.dispatchMouseEvent", { type: "mouseWheel", x: X, y: Y, deltaX: 0, deltaY });
  lines.push(
    await measured("is scrolled", async (n) => {
      await wheel(n % 200 < 150 ? 500 : -400);
      await pause(16);
    }),
  );
  const jump = (part) =>
    evaluate(`(() => {
      const list = document.querySelector('.list');
      list.scrollTop = ${part} * list.scrollHeight;
    })()`);
  lines.push(
    await measured("is dragged to far places", async (n) => {
      await jump((n * 0.381966) % 1);
      await pause(150);
    }),
  );
  await jump(0);
  await evaluate("document.querySelector('main input[type=search]').focus()");
  const key = async (key, text) => {
    await call("Input.dispatchKeyEvent", { type: "keyDown", key, text });
    await call("Input.dispatchKeyEvent", { type: "keyUp", key });
  };
  // The search for a task, letter by letter and back.
  const word = [...first];
  lines.push(
    await measured("is searched", async (n) => {
      const place = n % (2 * word.length);
      if (place < word.length) await key(word[place], word[place]);
      else {
        await evaluate(`(() => {
          const field = document.querySelector('main input[type=search]');
          field.value = field.value.slice(0, -1);
          field.dispatchEvent(new Event('input', { bubbles: true }));
        })()`);
      }
      await pause(80);
    }),
  );
  const slowest = `the longest task of the browser took ${hardest.toFixed(0)} ms of a processor`;
  lines.push("", `Of ${total} frames, ${late === 0 ? "none" : late} took over ${LATE} ms; ${slowest}.`);
  console.log(lines.join("\n"));
} finally {
  const ended = new Promise((resolve) => browser.once("exit", resolve));
  browser.kill();
  await ended;
  await removed(profile);
}

/** Removes a profile, in which the browser's helpers may still write for a moment. */
async function removed(folder) {
  for (let tries = 1; tries <= 50; tries += 1) {
    try {
      return rmSync(folder, { recursive: true, force: true });
    } catch {
      await pause(200);
    }
  }
  console.error(`${folder} could not be removed`);
}
