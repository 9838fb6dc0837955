import { useEffect, useRef, useState } from "preact/hooks";

import { AgentView, AgentsView } from "./agents";
import { type MasterFacts, type Metrics, type Summary, ask, summary } from "./api";
import type { Sample } from "./chart";
import { Behind, type Contact, isBehind, useNow } from "./contact";
import { FrameworkView, FrameworksView } from "./frameworks";
import { Keys } from "./keys";
import { live, useLive } from "./live";
import { MaintenanceView } from "./maintenance";
import { OffersView } from "./offers";
import { OverviewView } from "./overview";
import { KINDS, Trouble } from "./parts";
import { usePolled } from "./poll";
import { RoleView, RolesView } from "./roles";
import type { Route } from "./route";
import { ServerView } from "./server";
import { total } from "./state";
import { TaskView } from "./task";
import { TasksView } from "./tasks";
import { title } from "./title";

/** As many samples as the charts have: ten minutes, once a second. */
const SAMPLES = 600;

export type History = Record<(typeof KINDS)[number]["kind"], Sample[]>;

/** What all views of a master know. */
export interface Cluster {
  metrics: Metrics;
  summary: Summary;
  facts: MasterFacts | undefined;
  history: History;
}

const NAV = [
  ["#/", "Overview", ["home", "sandbox"]],
  ["#/tasks", "Tasks", ["tasks", "task"]],
  ["#/frameworks", "Frameworks", ["frameworks", "framework"]],
  ["#/agents", "Agents", ["agents", "agent"]],
  ["#/roles", "Roles", ["roles", "role"]],
  ["#/offers", "Offers", ["offers"]],
  ["#/maintenance", "Maintenance", ["maintenance"]],
  ["#/server", "Server", ["server"]],
] as const;

/** The cluster, as its master sees it. */
export function MasterPage(props: { metrics: Metrics; route: Route; contact: Contact }) {
  const { metrics, route, contact } = props;
  useEffect(() => {
    live.start();
    return () => live.stop();
  }, []);
  const { value, error } = usePolled<Summary>("summary", (_, signal) => summary(signal), "by events");
  const { value: facts } = usePolled<MasterFacts>(
    "master",
    (_, signal) => ask<MasterFacts>("GET_MASTER", signal),
    "by events",
  );
  const history = useHistory(metrics, value);
  const shown = title(route, value);
  useEffect(() => {
    document.title = shown;
  }, [shown]);
  const nav = useRef<HTMLElement>(null);
  // On a phone not all of them are in sight.
  useEffect(() => {
    nav.current?.querySelector("[aria-current]")?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }, [route.view]);
  return (
    <div class="shell">
      <a class="skip" href="#content" onClick={skip}>
        Skip to the content
      </a>
      <header class="side">
        <a class="brand" href="#/">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" />
            <path d="M3 24 9 11h14l6 13z" />
          </svg>
          <span>{value?.cluster || "Meseta"}</span>
        </a>
        <nav aria-label="Views" ref={nav}>
          {NAV.map(([href, title, views]) => (
            <a
              key={href}
              href={href}
              aria-current={(views as readonly string[]).includes(route.view) ? "page" : undefined}
            >
              {title}
            </a>
          ))}
        </nav>
        <div class="foot">
          <LinkState contact={contact} />
          <Keys />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <Behind of="master" contact={contact} />
        <Changed version={facts?.master_info.version} />
        <Trouble error={contact.error ? undefined : error} />
        {value ? (
          <View cluster={{ metrics, summary: value, facts, history }} route={route} />
        ) : (
          <p class="empty">Reading…</p>
        )}
      </main>
    </div>
  );
}

/** The address stays: it names the view. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** A page of a former version may misunderstand what the master says now. */
function Changed({ version }: { version: string | undefined }) {
  const [first, setFirst] = useState(version);
  useEffect(() => setFirst((known) => known ?? version), [version]);
  if (!first || !version || first === version) return null;
  return (
    <p class="notice" role="status">
      The master is now of version {version}, and this page of {first}.{" "}
      <button type="button" onClick={() => location.reload()}>
        Load it again
      </button>
    </p>
  );
}

const LINKS = {
  live: ["good", "Live", "The page follows the master's events."],
  connecting: ["busy", "Connecting", "The page asks the master for its events."],
  behind: [
    "busy",
    "Reconnecting",
    "The stream of events broke. The page asks every second until it goes on.",
  ],
  polling: ["busy", "Polling", "There is no stream of events; the page asks every second."],
} as const;

const SILENT = [
  "bad",
  "No answer",
  "The master does not answer. What is shown is what was read last.",
] as const;

function LinkState({ contact }: { contact: Contact }) {
  const { link } = useLive();
  const [mood, text, title] = isBehind(contact, useNow()) ? SILENT : LINKS[link];
  return (
    <span class={`state ${mood}`} title={title} role="status">
      {text}
    </span>
  );
}

function View({ cluster, route }: { cluster: Cluster; route: Route }) {
  switch (route.view) {
    case "home":
    case "sandbox":
    case "terminal":
      return <OverviewView cluster={cluster} />;
    case "tasks":
      return <TasksView cluster={cluster} route={route} />;
    case "task":
      return <TaskView cluster={cluster} route={route} />;
    case "agents":
      return <AgentsView cluster={cluster} />;
    case "agent":
      return <AgentView cluster={cluster} id={route.id} />;
    case "frameworks":
      return <FrameworksView cluster={cluster} />;
    case "framework":
      return <FrameworkView cluster={cluster} id={route.id} />;
    case "roles":
      return <RolesView cluster={cluster} />;
    case "role":
      return <RoleView cluster={cluster} name={route.id} />;
    case "offers":
      return <OffersView cluster={cluster} />;
    case "maintenance":
      return <MaintenanceView cluster={cluster} />;
    case "server":
      return <ServerView cluster={cluster} />;
  }
}

/** The resources over time, for as long as the page is open. */
function useHistory(metrics: Metrics, value: Summary | undefined): History {
  const history = useRef<History>({ cpus: [], mem: [], disk: [], gpus: [] });
  const seen = useRef<Metrics | undefined>(undefined);
  if (seen.current !== metrics) {
    seen.current = metrics;
    const offered = total(value?.slaves.map((agent) => agent.offered_resources) ?? []);
    for (const { kind } of KINDS) {
      const sample = {
        at: Date.now() / 1000,
        used: metrics[`master/${kind}_used`] ?? 0,
        all: metrics[`master/${kind}_total`] ?? 0,
        offered: offered[kind],
      };
      history.current[kind] = [...history.current[kind], sample].slice(-SAMPLES);
    }
  }
  return history.current;
}
