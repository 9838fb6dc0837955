import { directory, nameOf as agentName, runOf } from "./agent";
import { type Entry, browse, download } from "./files";
import { bytes } from "./format";
import { type Column, Whole } from "./list";
import { Output } from "./output";
import { Crumbs, State, Time, Trouble } from "./parts";
import { usePolled } from "./poll";
import { type Sandbox, format, link } from "./route";
import { type AgentState, masterAt } from "./state";
import { Usage } from "./usage";

/** A sandbox: what its programs print, and its files. */
export function SandboxView({ state, route }: { state: AgentState; route: Sandbox }) {
  const root = directory(state, route);
  const run = runOf(state, route);
  const master = masterAt(state, location.protocol);
  const task = run?.executor.tasks?.[0] ?? run?.executor.completed_tasks?.[0];
  return (
    <>
      <Crumbs to="#/" name={`Agent ${agentName(state)}`}>
        {master && task && (
          <a href={`${master}${link(["tasks", route.framework, state.id, task.id])}`}>The task at its master</a>
        )}
      </Crumbs>
      <div class="title">
        <h1>{route.executor}</h1>
        {task && <State name={task.state} healthy={task.statuses?.at(-1)?.healthy} />}
        {run?.runs && (
          <a class="button" href={format({ ...route, view: "terminal" })}>
            Terminal
          </a>
        )}
      </div>
      {root ? (
        <>
          <p class="path">{root}</p>
          <Usage
            framework={route.framework}
            executor={route.executor}
            container={route.containers[0]}
          />
          <Content root={root} route={route} />
        </>
      ) : (
        <p class="empty">
          The agent does not know this sandbox, or not any more: sandboxes are removed some time after
          their tasks have ended.
        </p>
      )}
    </>
  );
}

function Content({ root, route }: { root: string; route: Sandbox }) {
  const here = [root, ...route.folder].join("/");
  const { value: entries, error } = usePolled<Entry[]>(here, (_, signal) => browse(here, signal));
  const outputs = route.folder.length === 0 ? ["stdout", "stderr"] : [];
  const open = route.file === undefined ? [] : [route.file];
  const shown = [...new Set([...open, ...outputs])];
  return (
    <>
      {shown.map((name) => (
        <Output key={`${here}/${name}`} path={`${here}/${name}`} name={name} />
      ))}
      <Trouble error={error} />
      <Place route={route} />
      <Whole
        caption="Files"
        rows={entries}
        columns={columns(route)}
        id={(entry) => entry.path}
        text={nameOf}
        none="The folder is empty."
      />
    </>
  );
}

/** The way from the sandbox to the folder that is shown. */
function Place({ route }: { route: Sandbox }) {
  if (route.folder.length === 0) return null;
  const names = ["sandbox", ...route.folder];
  return (
    <nav aria-label="Folder" class="path">
      {names.map((name, depth) => (
        <span key={depth}>
          {depth > 0 && " / "}
          {depth < names.length - 1 ? (
            <a href={format({ ...route, folder: route.folder.slice(0, depth), file: undefined })}>
              {name}
            </a>
          ) : (
            name
          )}
        </span>
      ))}
    </nav>
  );
}

function columns(route: Sandbox): Column<Entry>[] {
  return [
    {
      name: "Name",
      width: "minmax(0, 3fr)",
      cell: (entry) => {
        const name = nameOf(entry);
        const isFolder = entry.mode.startsWith("d");
        const target = isFolder
          ? { ...route, folder: [...route.folder, name], file: undefined }
          : { ...route, file: name };
        return <a href={format(target)}>{isFolder ? `${name}/` : name}</a>;
      },
      sort: nameOf,
    },
    {
      name: "Size",
      width: "6rem",
      numeric: true,
      cell: (entry) => bytes(entry.size),
      sort: (entry) => entry.size,
    },
    {
      name: "Changed",
      width: "7rem",
      minor: true,
      cell: (entry) => <Time at={entry.mtime} />,
      sort: (entry) => entry.mtime,
    },
    {
      name: "Owner",
      width: "minmax(0, 1fr)",
      minor: true,
      cell: (entry) => `${entry.uid}:${entry.gid}`,
    },
    { name: "Mode", width: "7rem", minor: true, cell: (entry) => <code>{entry.mode}</code> },
    {
      name: "Get",
      width: "6rem",
      cell: (entry) =>
        entry.mode.startsWith("-") && (
          <a href={download(entry.path)} aria-label={`Download ${nameOf(entry)}`}>
            Download
          </a>
        ),
    },
  ];
}

function nameOf(entry: Entry): string {
  return entry.path.split("/").at(-1) ?? entry.path;
}
