/** What the part of the address behind `#` asks for. */

export type Route = { view: "home" } | Sandbox;

export interface Sandbox {
  view: "sandbox";
  framework: string;
  executor: string;
  /** The container and those inside of it; none for the executor's newest. */
  containers: string[];
  /** A folder below the sandbox. */
  folder: string[];
  /** A file in that folder to be shown. */
  file: string | undefined;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [, view, framework, executor, ...containers] = path.split("/").map(decode);
  if (view !== "sandbox" || !framework || !executor) return { view: "home" };
  const wanted = new URLSearchParams(query);
  return {
    view: "sandbox",
    framework,
    executor,
    containers: containers.filter((part) => part !== ""),
    folder: (wanted.get("folder") ?? "").split("/").filter((part) => part !== ""),
    file: wanted.get("file") ?? undefined,
  };
}

export function format(route: Sandbox): string {
  const path = [route.framework, route.executor, ...route.containers]
    .map(encodeURIComponent)
    .join("/");
  const wanted = new URLSearchParams();
  if (route.folder.length > 0) wanted.set("folder", route.folder.join("/"));
  if (route.file !== undefined) wanted.set("file", route.file);
  const query = wanted.toString();
  return `#/sandbox/${path}${query ? `?${query}` : ""}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
