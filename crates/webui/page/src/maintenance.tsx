import { useMemo } from "preact/hooks";

import { Action } from "./action";
import {
  type Frameworks,
  type MachineId,
  type Unavailability,
  ask,
  maintenance,
  order,
  replan,
  schedule,
} from "./api";
import { counted, duration } from "./format";
import { type Column, Whole } from "./list";
import { type Answer, type Machine, type Planned, keyOf, machines, nameOf, without } from "./machines";
import type { Cluster } from "./master";
import { useFrameworkNames } from "./names";
import { Time, Trouble } from "./parts";
import { Plan } from "./plan";
import { usePolled } from "./poll";
import { link } from "./route";

/** Machines that will be away, what is still there, and what frameworks say to leaving them. */
export function MaintenanceView({ cluster }: { cluster: Cluster }) {
  const { value, error } = usePolled<Planned>("maintenance", async (_, signal) => {
    const [{ windows }, status] = await Promise.all([schedule(signal), maintenance(signal)]);
    // Without a schedule nobody is asked for anything.
    if (!windows?.length) return { windows: [], status, frameworks: [] };
    const { frameworks } = await ask<Frameworks>("GET_FRAMEWORKS", signal);
    return { windows, status, frameworks: frameworks ?? [] };
  });
  const rows = useMemo(
    () => value && machines(value, cluster.summary.slaves),
    [value, cluster.summary],
  );
  const answers = rows?.flatMap((one) => one.answers) ?? [];
  const name = useFrameworkNames(cluster, answers.map(({ framework }) => framework));
  return (
    <>
      <div class="title">
        <h1>Maintenance</h1>
        <div class="actions">
          <Plan cluster={cluster} />
        </div>
      </div>
      <Trouble error={error} />
      <Whole
        caption="Scheduled machines"
        columns={MACHINES}
        rows={rows}
        id={({ id }) => keyOf(id)}
        text={({ id, mode }) => `${nameOf(id)} ${mode}`}
        none="No maintenance is scheduled. A schedule tells frameworks in time which machines will be away, and asks them to leave."
      />
      {rows && rows.length > 0 && (
        <Whole
          caption="Answers of frameworks"
          columns={answerColumns(name)}
          rows={answers}
          id={({ machine, framework }) => `${keyOf(machine)} ${framework}`}
          text={({ machine, framework, status }) => `${nameOf(machine)} ${name(framework)} ${status}`}
          none="No framework has been asked to leave yet: those that use something of a machine are, when resources are next offered."
        />
      )}
    </>
  );
}

const MACHINES: Column<Machine>[] = [
  {
    name: "Machine",
    width: "minmax(0, 2fr)",
    cell: ({ id }) => nameOf(id),
    sort: ({ id }) => nameOf(id),
  },
  {
    name: "State",
    // What can be done says as much.
    minor: true,
    width: "6rem",
    cell: ({ mode }) => <span class={`state ${mode === "down" ? "bad" : "busy"}`}>{mode}</span>,
    sort: ({ mode }) => mode,
  },
  {
    name: "Away",
    width: "minmax(0, 1.25fr)",
    minor: true,
    cell: ({ unavailability }) => <Time at={startOf(unavailability)} ahead />,
    sort: ({ unavailability }) => startOf(unavailability),
  },
  {
    name: "Lasts",
    width: "5.5rem",
    minor: true,
    cell: ({ unavailability }) => lasting(unavailability),
    sort: ({ unavailability }) => unavailability?.duration?.nanoseconds,
  },
  {
    name: "Still there",
    width: "minmax(0, 1.5fr)",
    minor: true,
    cell: stillThere,
    sort: ({ tasks }) => tasks,
  },
  {
    name: "Answers",
    width: "minmax(0, 2fr)",
    minor: true,
    cell: ({ answers }) => tally(answers),
  },
  {
    name: "Change",
    width: "12.5rem",
    cell: (machine) =>
      machine.mode === "down" ? <Up machine={machine.id} /> : <Draining machine={machine} />,
  },
];

export function startOf(unavailability: Unavailability | undefined): number | undefined {
  return unavailability && unavailability.start.nanoseconds / 1e9;
}

export function lasting(unavailability: Unavailability | undefined): string {
  if (!unavailability) return "–";
  const { duration: known } = unavailability;
  return known ? duration(known.nanoseconds / 1e9) : "no end";
}

function stillThere({ agents, tasks }: Machine) {
  const [first] = agents;
  if (!first) return "no agent";
  const said = `${counted(tasks, "task")} on ${counted(agents.length, "agent")}`;
  return agents.length === 1 ? <a href={link(["agents", first.id])}>{said}</a> : said;
}

/** Answers put together, such as `2 accept, 1 declines`. */
function tally(answers: Answer[]): string {
  const of = (status: Answer["status"]) => answers.filter((one) => one.status === status).length;
  const [yes, no, open] = [of("accepts"), of("declines"), of("not answered")];
  const parts = [
    yes > 0 && `${yes} ${yes === 1 ? "accepts" : "accept"}`,
    no > 0 && `${no} ${no === 1 ? "declines" : "decline"}`,
    open > 0 && `${open} not answered`,
  ];
  return parts.filter((part) => part !== false).join(", ") || "nobody is asked";
}

const MOODS = { accepts: "good", declines: "bad", "not answered": "busy" } as const;

function answerColumns(name: (framework: string) => string): Column<Answer>[] {
  return [
    {
      name: "Framework",
      width: "minmax(0, 2fr)",
      cell: ({ framework }) => (
        <a href={link(["frameworks", framework])} title={framework}>
          {name(framework)}
        </a>
      ),
      sort: ({ framework }) => name(framework),
    },
    {
      name: "Answer",
      width: "8rem",
      cell: ({ status }) => <span class={`state ${MOODS[status]}`}>{status}</span>,
      sort: ({ status }) => status,
    },
    {
      name: "Machine",
      width: "minmax(0, 2fr)",
      minor: true,
      cell: ({ machine }) => nameOf(machine),
      sort: ({ machine }) => nameOf(machine),
    },
    { name: "Said", width: "7rem", cell: ({ at }) => <Time at={at} />, sort: ({ at }) => at },
  ];
}

function Draining({ machine }: { machine: Machine }) {
  const { id, agents, tasks, answers } = machine;
  const name = nameOf(id);
  const against = answers.filter(({ status }) => status !== "accepts").length;
  return (
    <span class="actions">
      <Action
        name="Take down"
        label={`Take down ${name}`}
        title={`Take ${name} down?`}
        confirm="Take down"
        danger
        act={() => order({ type: "START_MAINTENANCE", start_maintenance: { machines: [id] } })}
      >
        <p>
          {agents.length === 0
            ? "No agent is registered from it. None can register until it is brought up."
            : `${counted(agents.length, "agent")} on it ${agents.length === 1 ? "is" : "are"} told to end, with ${counted(tasks, "task")}, and cannot register until the machine is brought up.`}
        </p>
        {against > 0 && (
          <p class="bad">{counted(against, "framework")} on it {against === 1 ? "has" : "have"} not agreed to leave.</p>
        )}
      </Action>
      <Action
        name="Cancel"
        label={`Cancel the maintenance of ${name}`}
        title={`Cancel the maintenance of ${name}?`}
        confirm="Take it off the schedule"
        act={() => replan((windows) => without(windows, [id]))}
      >
        <p>It leaves the schedule, and frameworks may use it as before.</p>
      </Action>
    </span>
  );
}

function Up({ machine }: { machine: MachineId }) {
  const name = nameOf(machine);
  return (
    <Action
      name="Bring up"
      label={`Bring up ${name}`}
      title={`Bring ${name} up?`}
      confirm="Bring up"
      act={() => order({ type: "STOP_MAINTENANCE", stop_maintenance: { machines: [machine] } })}
    >
      <p>Its agents may register again, and it leaves the schedule. Start them there if they do not start by themselves.</p>
    </Action>
  );
}
