/** What the part of the address behind `#` asks for. */

export type Route =
  | { view: "home" }
  | { view: Page }
  | { view: "agent" | "framework" | "role"; id: string }
  | Tasks
  | { view: "task"; framework: string; agent: string; task: string }
  | Sandbox;

const PAGES = ["agents", "frameworks", "roles", "offers", "maintenance", "server"] as const;
type Page = (typeof PAGES)[number];

export interface Tasks {
  view: "tasks";
  search: string;
  /** Those that are shown; all if none is named. */
  states: string[];
}

export interface Sandbox {
  /** What is shown of it: its output and files, or a terminal in its container. */
  view: "sandbox" | "terminal";
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
  const [, view = "", ...parts] = path.split("/").map(decode);
  const wanted = new URLSearchParams(query);
  const [first, second, third] = parts;
  const page = PAGES.find((name) => name === view);
  if (page === "agents" && first) return { view: "agent", id: first };
  if (page === "frameworks" && first) return { view: "framework", id: first };
  if (page === "roles" && first) return { view: "role", id: first };
  if (page) return { view: page };
  if (view === "tasks" && first && third) {
    return { view: "task", framework: first, agent: second ?? "", task: third };
  }
  if (view === "tasks") {
    return {
      view: "tasks",
      search: wanted.get("search") ?? "",
      states: (wanted.get("state") ?? "").split(",").filter((state) => state !== ""),
    };
  }
  if ((view === "sandbox" || view === "terminal") && first && second) {
    return sandbox(view, first, second, parts.slice(2), wanted);
  }
  return { view: "home" };
}

function sandbox(
  view: Sandbox["view"],
  framework: string,
  executor: string,
  containers: string[],
  wanted: URLSearchParams,
): Sandbox {
  return {
    view,
    framework,
    executor,
    containers: containers.filter((part) => part !== ""),
    folder: (wanted.get("folder") ?? "").split("/").filter((part) => part !== ""),
    file: wanted.get("file") ?? undefined,
  };
}

export function format(route: Sandbox): string {
  const wanted: Record<string, string> = {};
  if (route.folder.length > 0) wanted["folder"] = route.folder.join("/");
  if (route.file !== undefined) wanted["file"] = route.file;
  return link([route.view, route.framework, route.executor, ...route.containers], wanted);
}

/** An address on this page. */
export function link(parts: string[], wanted: Record<string, string> = {}): string {
  const query = new URLSearchParams(wanted).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

export function tasksLink(search: string, states: string[]): string {
  const wanted: Record<string, string> = {};
  if (search) wanted["search"] = search;
  if (states.length > 0) wanted["state"] = states.join(",");
  return link(["tasks"], wanted);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
