import { useEffect } from "preact/hooks";

import { Behind, type Contact } from "./contact";
import { json } from "./files";
import { type Column, Whole } from "./list";
import { agentName } from "./names";
import { Log, keepsLog } from "./output";
import { Fact, Id, Meters, Outward, State, Time, Trouble } from "./parts";
import { usePolled } from "./poll";
import { type Route, type Sandbox, format } from "./route";
import { SandboxView } from "./sandbox";
import type { AgentState, Executor } from "./state";
import { masterAt, total } from "./state";
import { TerminalView } from "./terminal";

interface Row {
  framework: { id: string; name: string };
  executor: Executor;
}

/** The page of an agent: what runs there, and the sandboxes. */
export function AgentPage({ route, contact }: { route: Route; contact: Contact }) {
  const { value: state, error } = usePolled<AgentState>("state", (_, signal) =>
    json("/state", signal),
  );
  const name = state && nameOf(state);
  useEffect(() => {
    document.title =
      "executor" in route ? `${route.executor} – Meseta` : `Agent ${name ?? ""} – Meseta`;
  });
  return (
    <main class="alone" id="content" tabIndex={-1}>
      <Behind of="agent" contact={contact} />
      <Trouble error={contact.error ? undefined : error} />
      {state &&
        (route.view === "sandbox" ? (
          <SandboxView state={state} route={route} />
        ) : route.view === "terminal" ? (
          <TerminalView state={state} route={route} />
        ) : (
          <AgentHome state={state} />
        ))}
    </main>
  );
}

/** What an agent is called, here and at its master: several may be on one host. */
export function nameOf({ hostname, pid }: AgentState): string {
  const port = /:(\d+)$/.exec(pid)?.[1];
  return hostname && port ? agentName({ hostname, port: Number(port) }) : hostname || pid;
}

function AgentHome({ state }: { state: AgentState }) {
  const frameworks = state.frameworks ?? [];
  const rows = (framework: Row["framework"], executors: Executor[] | undefined): Row[] =>
    (executors ?? []).map((executor) => ({ framework, executor }));
  const running = frameworks.flatMap((one) => rows(one, one.executors));
  const ended = [...frameworks, ...(state.completed_frameworks ?? [])].flatMap((one) =>
    rows(one, one.completed_executors),
  );
  return (
    <>
      <div class="title">
        <h1>Agent {nameOf(state)}</h1>
      </div>
      <dl class="facts">
        <Fact name="Id">
          <Id value={state.id || "not registered yet"} />
        </Fact>
        {state.version && <Fact name="Version">{state.version}</Fact>}
        {state.master_hostname && (
          <Fact name="Master">
            <Outward to={masterAt(state, location.protocol)}>{state.master_hostname}</Outward>
          </Fact>
        )}
        {state.start_time && (
          <Fact name="Started">
            <Time at={state.start_time} />
          </Fact>
        )}
      </dl>
      <section>
        <div class="above">
          <h2>Resources</h2>
        </div>
        <Meters
          used={total([
            state.unreserved_resources_allocated,
            ...Object.values(state.reserved_resources_allocated ?? {}),
          ])}
          all={total([state.resources])}
        />
      </section>
      <Whole
        caption="Running executors"
        rows={running}
        columns={EXECUTORS}
        id={(row) => row.executor.container}
        text={text}
        none="No executor runs here."
      />
      <Whole
        caption="Completed executors"
        rows={ended}
        columns={EXECUTORS}
        id={(row) => row.executor.container}
        text={text}
        none="No executor has ended here yet."
      />
      <Log path="/slave/log" kept={keepsLog(state.flags)} />
    </>
  );
}

function text({ framework, executor }: Row): string {
  const tasks = tasksOf(executor).map((task) => task.id);
  return [framework.name, executor.id, executor.name, ...tasks].join(" ");
}

function tasksOf(executor: Executor) {
  return [...(executor.tasks ?? []), ...(executor.completed_tasks ?? [])];
}

const EXECUTORS: Column<Row>[] = [
  {
    name: "Executor",
    width: "minmax(0, 2fr)",
    cell: ({ framework, executor }) => (
      <a
        href={format({
          view: "sandbox",
          framework: framework.id,
          executor: executor.id,
          containers: [executor.container],
          folder: [],
          file: undefined,
        })}
        aria-label={`Sandbox of ${executor.id}`}
      >
        {executor.id}
      </a>
    ),
    sort: ({ executor }) => executor.id,
  },
  {
    name: "Framework",
    width: "minmax(0, 1.5fr)",
    cell: ({ framework }) => <span title={framework.id}>{framework.name}</span>,
    sort: ({ framework }) => framework.name,
  },
  {
    name: "Name",
    width: "minmax(0, 1.5fr)",
    minor: true,
    cell: (row) => row.executor.name,
    sort: (row) => row.executor.name,
  },
  {
    name: "Tasks",
    width: "minmax(0, 2fr)",
    cell: ({ executor }) => {
      const tasks = tasksOf(executor);
      const [first] = tasks;
      return (
        first && (
          <>
            <State name={first.state} />
            {tasks.length > 1 && <small> and {tasks.length - 1} more</small>}
          </>
        )
      );
    },
  },
  {
    name: "Container",
    width: "minmax(0, 2fr)",
    minor: true,
    cell: ({ executor }) => <Id value={executor.container} />,
  },
];

/** A run of an executor. */
interface Run {
  executor: Executor;
  /** Whether it goes on. */
  runs: boolean;
}

/** The run that a sandbox is of, as far as the agent still knows of it. */
export function runOf(state: AgentState, route: Sandbox): Run | undefined {
  const [outer] = route.containers;
  const candidates = [...(state.frameworks ?? []), ...(state.completed_frameworks ?? [])]
    .filter((one) => one.id === route.framework)
    .flatMap((one) => [
      ...(one.executors ?? []).map((executor) => ({ executor, runs: true })),
      ...(one.completed_executors ?? []).map((executor) => ({ executor, runs: false })),
    ]);
  return (
    // A task of an executor of its own may be named by its container alone.
    candidates.find(({ executor }) => executor.container === outer) ??
    (outer === undefined
      ? candidates.find(({ executor }) => executor.id === route.executor)
      : undefined)
  );
}

/** The folder of a sandbox. */
export function directory(state: AgentState, route: Sandbox): string | undefined {
  const run = runOf(state, route);
  const inner = route.containers.slice(1);
  return (
    run &&
    [run.executor.directory, ...inner.flatMap((container) => ["containers", container])].join("/")
  );
}

/** The container of a sandbox after those around it, if something runs in it. */
export function containersOf(state: AgentState, route: Sandbox): string[] | undefined {
  const run = runOf(state, route);
  return run?.runs ? [run.executor.container, ...route.containers.slice(1)] : undefined;
}
