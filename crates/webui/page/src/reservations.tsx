import { Action } from "./action";
import { type Scalar, order } from "./api";
import { json } from "./files";
import { type Column, Whole } from "./list";
import { Trouble, saying } from "./parts";
import { usePolled } from "./poll";
import { link } from "./route";

/** What of an agent is kept for roles: reservations and the volumes on them, and the way to be rid of them. */

interface Row {
  /** Its place among those of the agent: nothing else tells equal ones apart. */
  number: number;
  agent: string;
  role: string;
  resource: Scalar;
}

/** What can be reserved here. */
const KINDS = ["cpus", "mem", "disk", "gpus"];

export function Reservations({ agent }: { agent: string }) {
  const { value, error } = usePolled<Row[]>(
    agent,
    async (_, signal) => {
      const url = `/slaves?slave_id=${encodeURIComponent(agent)}`;
      const { slaves } = await json<Slaves>(url, signal);
      return rowsOf(agent, slaves[0]?.reserved_resources_full ?? {});
    },
    "by events",
  );
  return (
    <>
      <Trouble error={error} />
      <Whole
        caption="Reservations"
        columns={COLUMNS}
        rows={value}
        id={({ number }) => `${number}`}
        text={({ role, resource }) => `${role} ${saying(resource)} ${volumeOf(resource) ?? ""}`}
        none="Nothing of this agent is reserved for a role."
        action={<Reserve agent={agent} />}
      />
    </>
  );
}

interface Slaves {
  slaves: { reserved_resources_full?: Record<string, Scalar[]> }[];
}

function rowsOf(agent: string, reserved: Record<string, Scalar[]>): Row[] {
  const all = Object.entries(reserved).flatMap(([role, resources]) =>
    resources.map((resource) => ({ role, resource })),
  );
  return all.map((one, number) => ({ ...one, number, agent }));
}

function volumeOf(resource: Scalar): string | undefined {
  return resource.disk?.persistence?.id;
}

/** Those that the agent's own flags made cannot be undone from here. */
function isDynamic(resource: Scalar): boolean {
  return resource.reservations?.at(-1)?.type === "DYNAMIC";
}

const COLUMNS: Column<Row>[] = [
  {
    name: "Role",
    width: "minmax(0, 1fr)",
    cell: ({ role }) => <a href={link(["roles", role])}>{role}</a>,
    sort: ({ role }) => role,
  },
  {
    name: "Resource",
    width: "minmax(0, 2fr)",
    cell: ({ resource }) => saying(resource),
    sort: ({ resource }) => resource.name,
  },
  {
    name: "Volume",
    width: "minmax(0, 1.5fr)",
    cell: ({ resource }) => volumeOf(resource) ?? "–",
    sort: ({ resource }) => volumeOf(resource),
    minor: true,
  },
  {
    name: "Made by",
    width: "minmax(0, 1fr)",
    cell: ({ resource }) =>
      isDynamic(resource) ? (resource.reservations?.at(-1)?.principal ?? "somebody unnamed") : "the agent's flags",
    minor: true,
  },
  { name: "Change", width: "7rem", cell: (row) => <Undo row={row} /> },
];

function Undo({ row: { agent, role, resource } }: { row: Row }) {
  if (!isDynamic(resource)) return null;
  const agent_id = { value: agent };
  // The older form of a reservation stands beside the newer one in answers, and is refused in calls.
  const { role: _, reservation: __, ...sent } = resource;
  const what = saying(resource);
  const volume = volumeOf(resource);
  if (volume !== undefined) {
    const act = () => order({ type: "DESTROY_VOLUMES", destroy_volumes: { agent_id, volumes: [sent] } });
    return (
      <Action
        name="Destroy"
        label={`Destroy volume ${volume}`}
        title={`Destroy volume ${volume}?`}
        confirm="Destroy"
        danger
        act={act}
      >
        <p>Its {what} are reserved for {role} as before. What was written on it is gone for ever.</p>
      </Action>
    );
  }
  const act = () =>
    order({ type: "UNRESERVE_RESOURCES", unreserve_resources: { agent_id, resources: [sent] } });
  return (
    <Action
      name="Unreserve"
      label={`Unreserve ${what} of ${role}`}
      title={`Unreserve ${what} of ${role}?`}
      confirm="Unreserve"
      act={act}
    >
      <p>They are offered to every role again. That is refused while something uses them.</p>
    </Action>
  );
}

function Reserve({ agent }: { agent: string }) {
  const act = (form: FormData) => {
    const role = String(form.get("role"));
    const given = KINDS.map((name) => [name, Number(form.get(name))] as const);
    const resources = given
      .filter(([, value]) => value > 0)
      .map(([name, value]) => ({
        name,
        type: "SCALAR",
        scalar: { value },
        reservations: [{ type: "DYNAMIC", role }],
      }));
    const agent_id = { value: agent };
    return order({ type: "RESERVE_RESOURCES", reserve_resources: { agent_id, resources } });
  };
  return (
    <Action name="Reserve" title="Reserve for a role" confirm="Reserve" act={act}>
      <p>What is reserved is offered to this role alone. Memory and disk are in megabytes.</p>
      <label>
        Role
        <input name="role" required />
      </label>
      <div class="grid">
        {KINDS.map((name) => (
          <label key={name}>
            {name}
            <input name={name} type="number" min="0" step="any" />
          </label>
        ))}
      </div>
    </Action>
  );
}
