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

/** A request that answers with JSON. A master that does not lead sends to the one that does. */
export async function json<T>(
  url: string,
  signal: AbortSignal,
  more: RequestInit = {},
): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(url, { signal, redirect: "manual", cache: "no-store", ...more });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refusal("No answer. The page tries again.");
  }
  if (answer.type === "opaqueredirect") {
    throw new NotLeading();
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim();
    throw new Refusal(text === "" ? `${answer.status} ${answer.statusText}` : text);
  }
  return (await answer.json()) as T;
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
