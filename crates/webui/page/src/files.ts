/** The files of an agent, as `/files` gives them out. */

export interface Entry {
  path: string;
  size: number;
  mode: string;
  mtime: number;
  uid: string;
  gid: string;
  nlink: number;
}

/** What is wrong, in a sentence. */
export class Refusal extends Error {}

/** A daemon that cannot be reached. That is said once for the whole page, which goes on trying. */
export class NoAnswer extends Refusal {
  constructor() {
    super("No answer. The page tries again.");
  }
}

/** How long an answer may take. */
const PATIENCE = 20_000;

/** A request that answers with JSON. A master that does not lead sends to the one that does. */
export async function json<T>(
  url: string,
  signal: AbortSignal,
  more: RequestInit = {},
): Promise<T> {
  const late = AbortSignal.timeout(PATIENCE);
  const how: RequestInit = { redirect: "manual", cache: "no-store", ...more };
  try {
    const answer = await fetch(url, { ...how, signal: AbortSignal.any([signal, late]) });
    if (answer.type === "opaqueredirect") throw new NotLeading();
    if (answer.ok) return (await answer.json()) as T;
    const text = (await answer.text()).trim();
    throw new Refusal(text === "" ? `${answer.status} ${answer.statusText}` : text);
  } catch (error) {
    if (signal.aborted || error instanceof Refusal) throw error;
    if (late.aborted) {
      const path = url.split("?")[0];
      throw new Refusal(`${path} has not answered for ${PATIENCE / 1000} s. The page asks again.`);
    }
    if (error instanceof SyntaxError) throw new Refusal(`${url} answers with something else than JSON.`);
    throw new NoAnswer();
  }
}

export class NotLeading extends Refusal {
  constructor() {
    super("This master does not lead.");
  }
}

export function browse(path: string, signal: AbortSignal): Promise<Entry[]> {
  return json(`/files/browse?path=${encodeURIComponent(path)}`, signal);
}

export function download(path: string): string {
  return `/files/download?path=${encodeURIComponent(path)}`;
}

export async function size(path: string, signal: AbortSignal): Promise<number> {
  const url = `/files/read?path=${encodeURIComponent(path)}&offset=-1`;
  return (await json<{ offset: number }>(url, signal)).offset;
}

export async function read(
  path: string,
  offset: number,
  length: number,
  signal: AbortSignal,
): Promise<string> {
  const url = `/files/read?path=${encodeURIComponent(path)}&offset=${offset}&length=${length}`;
  return (await json<{ data: string }>(url, signal)).data;
}
